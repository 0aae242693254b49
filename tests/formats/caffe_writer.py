"""Writes `.caffemodel` files in the three published layouts, from numpy arrays, without Caffe or protobuf.

V0 nests each layer in a V1 layer; V1 (`layers`) names the type by an enum; V2 (`layer`) by a string. The
published VGG and AlexNet files are V1 with legacy shapes and packed floats, the defaults here. Arrays are
written as they lie, so a 553 MB file needs no second copy in memory.

    write_caffemodel(path, [Layer("conv1_1", "Convolution", [weight, bias], settings={"pad": 1})])
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

# A message under construction: pieces to be written one after the other.
Pieces = list[bytes | memoryview]

NET_FIELD = {"V0": 2, "V1": 2, "V2": 100}
LAYER_FIELDS = {  # name, type, blobs, bottom, top
    "V0": (1, 2, 50, 2, 3),
    "V1": (4, 5, 6, 2, 3),
    "V2": (1, 2, 7, 3, 4),
}
V1_TYPES = {
    "Convolution": 4,
    "Dropout": 6,
    "InnerProduct": 14,
    "LRN": 15,
    "Pooling": 17,
    "ReLU": 18,
    "Softmax": 20,
}
V0_TYPES = {
    "Convolution": "conv",
    "Dropout": "dropout",
    "InnerProduct": "innerproduct",
    "LRN": "lrn",
    "Pooling": "pool",
    "ReLU": "relu",
    "Softmax": "softmax",
}
SETTINGS_FIELD = {  # the parameter message's field in V1 and in V2, and its fields
    "Convolution": (10, 106, {"num_output": 1, "pad": 3, "kernel_size": 4, "group": 5, "stride": 6}),
    "Dropout": (12, 108, {"dropout_ratio": 1}),
    "InnerProduct": (17, 117, {"num_output": 1}),
    "LRN": (18, 118, {"local_size": 1, "alpha": 2, "beta": 3, "k": 5}),
    "Pooling": (19, 121, {"pool": 1, "kernel_size": 2, "stride": 3, "pad": 4}),
}
V0_SETTINGS = {
    "num_output": 3,
    "pad": 7,
    "kernel_size": 8,
    "group": 9,
    "stride": 10,
    "pool": 11,
    "dropout_ratio": 12,
    "local_size": 13,
    "alpha": 14,
    "beta": 15,
    "k": 22,
}


@dataclass
class Layer:
    """One layer: `blobs` are the weight and maybe the bias, with their natural shapes."""

    name: str
    type: str
    blobs: Sequence[np.ndarray] = ()
    bottoms: Sequence[str] = ()
    tops: Sequence[str] = ()
    settings: Mapping[str, int | float] = field(default_factory=dict)


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def key(number: int, wire_type: int) -> bytes:
    return varint(number << 3 | wire_type)


def number_field(number: int, value: int | float) -> bytes:
    if isinstance(value, float):
        return key(number, 5) + struct.pack("<f", value)
    return key(number, 0) + varint(value)


def delimited(number: int, pieces: Iterable[bytes | memoryview]) -> Pieces:
    pieces = list(pieces)
    return [key(number, 2) + varint(sum(len(piece) for piece in pieces)), *pieces]


def text_field(number: int, value: str) -> bytes:
    return b"".join(delimited(number, [value.encode()]))


def blob(array: np.ndarray, *, legacy_shape: bool = True, packed: bool = True) -> Pieces:
    """A BlobProto: the shape, then `data` (float32) or `double_data` (float64)."""
    data_field = 8 if array.dtype == np.float64 else 5
    if legacy_shape:
        sizes = (1,) * (4 - array.ndim) + array.shape
        pieces: Pieces = [number_field(axis, size) for axis, size in enumerate(sizes, 1)]
    else:
        pieces = delimited(7, delimited(1, [b"".join(map(varint, array.shape))]))
    raw = memoryview(np.ascontiguousarray(array).reshape(-1)).cast("B")
    if packed:
        return pieces + delimited(data_field, [raw])
    each = key(data_field, 1 if array.dtype == np.float64 else 5)
    size = array.itemsize
    return pieces + [each + raw[start : start + size].tobytes() for start in range(0, len(raw), size)]


def layer_message(layer: Layer, layout: str, *, legacy_shape: bool = True, packed: bool = True) -> Pieces:
    """The layer as one field of the net."""
    name, kind, blobs, bottom, top = LAYER_FIELDS[layout]
    connections = [text_field(bottom, value) for value in layer.bottoms]
    connections += [text_field(top, value) for value in layer.tops]
    pieces: Pieces = [text_field(name, layer.name)]
    if layout == "V1":
        pieces.append(number_field(kind, V1_TYPES[layer.type]))
    else:
        pieces.append(text_field(kind, V0_TYPES[layer.type] if layout == "V0" else layer.type))
    for array in layer.blobs:
        pieces += delimited(blobs, blob(array, legacy_shape=legacy_shape, packed=packed))
    if layout == "V0":
        pieces += [number_field(V0_SETTINGS[setting], value) for setting, value in layer.settings.items()]
        return delimited(NET_FIELD[layout], [*delimited(1, pieces), *connections])
    if layer.settings:
        v1_field, v2_field, numbers = SETTINGS_FIELD[layer.type]
        settings = [number_field(numbers[setting], value) for setting, value in layer.settings.items()]
        pieces += delimited(v1_field if layout == "V1" else v2_field, settings)
    return delimited(NET_FIELD[layout], [*connections, *pieces])


def write_caffemodel(
    path: Path,
    layers: Sequence[Layer],
    *,
    layout: str = "V1",
    legacy_shape: bool = True,
    packed: bool = True,
    name: str = "net",
) -> None:
    """Writes a net; `layout` is "V0", "V1" or "V2"."""
    with open(path, "wb") as file:
        file.write(text_field(1, name))
        for layer in layers:
            for piece in layer_message(layer, layout, legacy_shape=legacy_shape, packed=packed):
                file.write(piece)

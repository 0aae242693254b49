"""Reads ``.caffemodel`` files: Caffe's NetParameter message, in its V0, V1 and V2 generations, without Caffe.

Only the keys and lengths are read; every blob is a view on the mapped file, so that one layer of a 500 MB file
is read without the others.

References:
    ``src/caffe/proto/caffe.proto`` and ``src/caffe/util/upgrade_proto.cpp`` of BVLC/caffe.
"""

import math
import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gradcam_jax.errors import CheckpointError
from gradcam_jax.formats.mapped_file import MappedFile
from gradcam_jax.formats.protobuf import (
    LENGTH_DELIMITED,
    Field,
    Message,
    integer,
    integers,
    packed_array,
    read_fields,
    submessage,
    text,
    unpacked_array,
)
from gradcam_jax.formats.strided import is_representable

_FLOAT = np.dtype("<f4")
_DOUBLE = np.dtype("<f8")

# Field numbers of the messages. A V0 layer is nested in a V1 layer.
_NET_NAME, _NET_LAYERS_V1, _NET_LAYERS_V2 = 1, 2, 100
_V1_NESTED_V0 = 1
_LEGACY_SHAPE = (1, 2, 3, 4)  # num, channels, height, width
_DATA, _DIFF, _SHAPE, _DOUBLE_DATA, _DOUBLE_DIFF = 5, 6, 7, 8, 9
_SHAPE_DIMENSIONS = 1

# A blob's fields that hold as many numbers as it has elements. The gradients are skipped as one run.
_NUMBERS = {_DATA: _FLOAT, _DIFF: _FLOAT, _DOUBLE_DATA: _DOUBLE, _DOUBLE_DIFF: _DOUBLE}

# Caffe's own limit on a blob's axes.
_MAX_AXES = 32

# The inner product in V0, in V1, whose types are an enum, and in V2.
_INNER_PRODUCT = ("innerproduct", 14, "InnerProduct")

# The order in which a layer type stores its blobs; most store a weight and maybe a bias.
_BLOB_NAMES = {"BatchNorm": ("mean", "variance", "scale_factor")}


class _LayerFields(NamedTuple):
    """Field numbers of a layer message."""

    name: int
    type: int
    blobs: int


_V0, _V1, _V2 = _LayerFields(1, 2, 50), _LayerFields(4, 5, 6), _LayerFields(1, 2, 7)


class CaffeLayer(NamedTuple):
    """One layer of a net.

    Attributes:
        name: As in the file.
        type: As in the file: a number in V1, a word in V0 and V2.
        blobs: Its arrays with the stored shapes, float32 (or float64 where the file holds doubles): weight,
            then bias if there is one. In files older than the field ``shape`` every blob has four axes: a bias is
            ``(1, 1, 1, out)`` and an inner product's weight ``(1, 1, out, in)``.
    """

    name: str
    type: int | str
    blobs: tuple[np.ndarray, ...]


class CaffeNet(NamedTuple):
    """A net as its file describes it, layers in the file's order."""

    name: str
    layers: tuple[CaffeLayer, ...]


def read_caffemodel(path: str | os.PathLike[str]) -> CaffeNet:
    """Reads a ``.caffemodel`` of any generation.

    Returns:
        The net; its arrays are read-only views on the mapped file, mostly unaligned: numpy computes with them,
        ``jnp.asarray`` copies them.

    Raises:
        CheckpointError: If the file is not a NetParameter message with layers, or is damaged.
    """
    file = MappedFile(path)
    name, layers = "", []
    for field in read_fields(Message(file, 0, file.size)):
        if field.number == _NET_NAME:
            name = text(field)
        elif field.number == _NET_LAYERS_V2:
            layers.append(_read_layer(submessage(field), _V2))
        elif field.number == _NET_LAYERS_V1:
            layers.append(_read_v1_layer(submessage(field)))
    if not layers:
        raise file.error(0, "expected a Caffe net, found no layers in the message")
    return CaffeNet(name, tuple(layers))


def caffe_arrays(net: CaffeNet) -> dict[str, np.ndarray]:
    """Names every blob of a net, in the shape of its layer type, whatever the file's generation.

    Returns:
        ``"<layer>/weight"`` and ``"<layer>/bias"`` (for BatchNorm ``"mean"``, ``"variance"``,
        ``"scale_factor"``; further blobs ``"blob2"``, ...) -> array. A convolution's weight is ``(out, in / group,
        kernel height, kernel width)``, an inner product's ``(out, in)``, a bias ``(out,)``.

    Raises:
        CheckpointError: If two layers with blobs have the same name.
    """
    arrays: dict[str, np.ndarray] = {}
    for layer in net.layers:
        names = _BLOB_NAMES.get(str(layer.type), ("weight", "bias"))
        for index, blob in enumerate(layer.blobs):
            name = f"{layer.name}/{names[index] if index < len(names) else f'blob{index}'}"
            if name in arrays:
                raise CheckpointError(
                    f"two layers of the net {net.name!r} have arrays, and both are named {name!r}"
                )
            if name.endswith("/weight") and layer.type in _INNER_PRODUCT and blob.shape[:-2] == (1, 1):
                blob = blob.reshape(blob.shape[-2:])
            elif index > 0 and blob.shape[:-1] == (1, 1, 1):
                blob = blob.reshape(-1)
            arrays[name] = blob
    return arrays


def _read_v1_layer(message: Message) -> CaffeLayer:
    nested = [field for field in read_fields(message) if field.number == _V1_NESTED_V0]
    return _read_layer(submessage(nested[-1]), _V0) if nested else _read_layer(message, _V1)


def _read_layer(message: Message, fields: _LayerFields) -> CaffeLayer:
    name, kind, blobs = "", "", []
    for field in read_fields(message):
        if field.number == fields.name:
            name = text(field)
        elif field.number == fields.type:
            kind = integer(field) if fields is _V1 else text(field)
        elif field.number == fields.blobs:
            blobs.append(_read_blob(submessage(field)))
    return CaffeLayer(name, kind, tuple(blobs))


def _read_blob(message: Message) -> np.ndarray:
    legacy_shape: dict[int, int] = {}
    shape: list[int] = []
    parts = []
    for field, numbers in _blob_fields(message):
        if numbers is not None:
            if field.number in (_DATA, _DOUBLE_DATA):
                parts.append(numbers)
        elif field.number in _LEGACY_SHAPE:
            legacy_shape[field.number] = integer(field)
        elif field.number == _SHAPE:
            for dimensions in read_fields(submessage(field)):
                if dimensions.number == _SHAPE_DIMENSIONS:
                    shape += integers(dimensions)
    if legacy_shape:
        shape = [legacy_shape.get(axis, 0) for axis in _LEGACY_SHAPE]
    # A blob in several pieces is legal, though no known writer makes one.
    data = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty(0, _FLOAT)
    valid = len(shape) <= _MAX_AXES and min(shape, default=0) >= 0 and is_representable(shape)
    if not valid or math.prod(shape) != data.size:
        raise message.file.error(
            message.start,
            f"expected a blob whose numbers fill its shape, got {data.size} numbers for {shape[:_MAX_AXES]}",
        )
    return data.reshape(shape)


def _blob_fields(message: Message) -> Iterator[tuple[Field, np.ndarray | None]]:
    """Yields a blob's fields, each with its numbers or None; unpacked numbers are one run."""
    position = message.start
    while position < message.end:
        for field in read_fields(message._replace(start=position)):
            position = field.end
            dtype = _NUMBERS.get(field.number)
            if dtype is None:
                yield field, None
            elif field.wire_type == LENGTH_DELIMITED:
                yield field, packed_array(field, dtype)
            else:
                run = unpacked_array(field, dtype, message.end)
                position = field.offset + len(run) * (field.end - field.offset)
                yield field, run
                break
        else:
            return

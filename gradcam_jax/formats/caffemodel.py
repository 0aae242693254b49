"""Reads ``.caffemodel`` files: Caffe's NetParameter message, in its V0, V1 and V2 generations, without Caffe.

Only the keys and lengths are read; every blob is a view on the mapped file, so that one layer of a 500 MB file
is read without the others.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gradcam_jax.errors import CheckpointError
from gradcam_jax.formats import caffe_schema as schema
from gradcam_jax.formats.mapped_file import MappedFile
from gradcam_jax.formats.protobuf import (
    LENGTH_DELIMITED,
    Field,
    Message,
    integers,
    number,
    packed_array,
    read_fields,
    submessage,
    text,
    unpacked_array,
)
from gradcam_jax.formats.strided import is_representable

_FLOAT = np.dtype("<f4")
_DOUBLE = np.dtype("<f8")

# A blob's fields that hold as many numbers as it has elements. The gradients are skipped as one run.
_NUMBERS = {
    schema.BLOB_DATA: _FLOAT,
    schema.BLOB_DIFF: _FLOAT,
    schema.BLOB_DOUBLE_DATA: _DOUBLE,
    schema.BLOB_DOUBLE_DIFF: _DOUBLE,
}

# Caffe's own limit on a blob's axes.
_MAX_AXES = 32

# The order in which a layer type stores its blobs; most store a weight and maybe a bias.
_BLOB_NAMES = {"BatchNorm": ("mean", "variance", "scale_factor")}


@dataclass(frozen=True, slots=True)
class CaffeLayer:
    """One layer of a net.

    Attributes:
        name: As in the file.
        type: As V2 names it ("Convolution", "InnerProduct", ...), whatever the file's generation.
        bottoms: Names of the arrays that it reads.
        tops: Names of the arrays that it writes.
        blobs: Its arrays with the stored shapes, float32 (or float64 where the file holds doubles): weight,
            then bias if there is one. In files older than the field ``shape`` every blob has four axes: a bias is
            ``(1, 1, 1, out)`` and an inner product's weight ``(1, 1, out, in)``.
        settings: The convolution, pooling, inner product, LRN or dropout settings in the file, under V2's names;
            ``pad``, ``kernel_size``, ``stride`` and ``dilation`` are tuples. An absent setting has Caffe's
            default.
    """

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    blobs: tuple[np.ndarray, ...]
    settings: dict[str, int | float | tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class CaffeNet:
    """A net as its file describes it, layers in the file's order."""

    name: str
    layers: tuple[CaffeLayer, ...]


def read_caffemodel(path: str | os.PathLike[str]) -> CaffeNet:
    """Reads a ``.caffemodel`` of any generation.

    Args:
        path: The file.

    Returns:
        The net; its arrays are read-only views on the mapped file, mostly unaligned: numpy computes with them,
        ``jnp.asarray`` copies them.

    Raises:
        CheckpointError: If the file is not a NetParameter message with layers, or is damaged.
    """
    file = MappedFile(path)
    name, layers = "", []
    for field in read_fields(Message(file, 0, file.size)):
        if field.number == schema.NET_NAME:
            name = text(field)
        elif field.number == schema.NET_LAYERS_V2:
            layers.append(_read_layer(submessage(field), schema.V2))
        elif field.number == schema.NET_LAYERS_V1:
            layers.append(_read_v1_layer(submessage(field)))
    if not layers:
        raise file.error(0, "expected a Caffe net, found no layers in the message")
    return CaffeNet(name, tuple(layers))


def caffe_arrays(net: CaffeNet) -> dict[str, np.ndarray]:
    """Names every blob of a net, in the shape of its layer type, whatever the file's generation.

    Args:
        net: The net.

    Returns:
        ``"<layer>/weight"`` and ``"<layer>/bias"`` (for BatchNorm ``"mean"``, ``"variance"``,
        ``"scale_factor"``; further blobs ``"blob2"``, ...) -> array. A convolution's weight is ``(out, in / group,
        kernel height, kernel width)``, an inner product's ``(out, in)``, a bias ``(out,)``.

    Raises:
        CheckpointError: If two layers with blobs have the same name.
    """
    arrays: dict[str, np.ndarray] = {}
    for layer in net.layers:
        names = _BLOB_NAMES.get(layer.type, ("weight", "bias"))
        for index, blob in enumerate(layer.blobs):
            name = f"{layer.name}/{names[index] if index < len(names) else f'blob{index}'}"
            if name in arrays:
                raise CheckpointError(
                    f"two layers of the net {net.name!r} have arrays, and both are named {name!r}"
                )
            if name.endswith("/weight") and layer.type == "InnerProduct" and blob.shape[:-2] == (1, 1):
                blob = blob.reshape(blob.shape[-2:])
            elif index > 0 and blob.shape[:-1] == (1, 1, 1):
                blob = blob.reshape(-1)
            arrays[name] = blob
    return arrays


def _read_v1_layer(message: Message) -> CaffeLayer:
    nested = [field for field in read_fields(message) if field.number == schema.V1_NESTED_V0]
    layer = _read_layer(message, schema.V1)
    if not nested:
        return layer
    inner = _read_layer(submessage(nested[-1]), schema.V0)
    return CaffeLayer(inner.name, inner.type, layer.bottoms, layer.tops, inner.blobs, inner.settings)


def _read_layer(message: Message, fields: schema.LayerFields) -> CaffeLayer:
    name, kind = "", ""
    bottoms, tops, blobs = [], [], []
    settings: dict[str, int | float | tuple[int, ...]] = {}
    for field in read_fields(message):
        if field.number == fields.name:
            name = text(field)
        elif field.number == fields.type:
            kind = _layer_type(field, fields)
        elif field.number == fields.bottom:
            bottoms.append(text(field))
        elif field.number == fields.top:
            tops.append(text(field))
        elif field.number == fields.blobs:
            blobs.append(_read_blob(submessage(field)))
        elif field.number in fields.settings:
            for setting in read_fields(submessage(field)):
                _add_setting(settings, fields.settings[field.number], setting)
        elif fields is schema.V0:
            _add_setting(settings, schema.V0_SETTINGS, field)
    return CaffeLayer(name, kind, tuple(bottoms), tuple(tops), tuple(blobs), settings)


def _layer_type(field: Field, fields: schema.LayerFields) -> str:
    if fields is schema.V1:
        (value,) = integers(field)[:1] or [0]
        return schema.V1_TYPES.get(value, f"unknown V1 layer type {value}")
    kind = text(field)
    return schema.V0_TYPES.get(kind, kind) if fields is schema.V0 else kind


def _add_setting(settings: dict, names: dict[int, str], field: Field) -> None:
    name = names.get(field.number)
    if name in schema.REPEATED_SETTINGS:
        settings[name] = (*settings.get(name, ()), *integers(field))
    elif name is not None:
        settings[name] = number(field)


def _read_blob(message: Message) -> np.ndarray:
    legacy_shape: dict[int, int] = {}
    shape: list[int] = []
    parts = []
    for field, numbers in _blob_fields(message):
        if numbers is not None:
            if field.number in (schema.BLOB_DATA, schema.BLOB_DOUBLE_DATA):
                parts.append(numbers)
        elif field.number in schema.BLOB_LEGACY_SHAPE:
            legacy_shape[field.number] = int(number(field))
        elif field.number == schema.BLOB_SHAPE:
            for dimensions in read_fields(submessage(field)):
                if dimensions.number == schema.BLOB_SHAPE_DIMENSIONS:
                    shape += integers(dimensions)
    if legacy_shape:
        shape = [legacy_shape.get(axis, 0) for axis in schema.BLOB_LEGACY_SHAPE]
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

"""Recognises a checkpoint's format by its content, never by its name."""

import os
import re
from collections.abc import Callable
from itertools import islice

import numpy as np

from gradcam_jax.errors import CheckpointError
from gradcam_jax.formats.caffemodel import caffe_arrays, read_caffemodel
from gradcam_jax.formats.mapped_file import MappedFile
from gradcam_jax.formats.mistaken import describe_archive, is_torchscript
from gradcam_jax.formats.npz import read_npz
from gradcam_jax.formats.protobuf import Message, read_fields
from gradcam_jax.formats.pytorch import read_pytorch
from gradcam_jax.formats.safetensors_file import read_safetensors
from gradcam_jax.formats.torch7 import read_torch7
from gradcam_jax.formats.torch7_values import torch7_arrays
from gradcam_jax.formats.zip_members import SIGNATURE, zip_members

MSGPACK = "msgpack"
"""The format of Flax's msgpack files, which are read in ``conversion.flax_trees``."""

READERS: dict[str, Callable[[str | os.PathLike[str]], dict[str, np.ndarray]]] = {
    "caffemodel": lambda path: caffe_arrays(read_caffemodel(path)),
    "torch7": lambda path: torch7_arrays(read_torch7(path)),
    "pytorch": read_pytorch,
    "safetensors": read_safetensors,
    "npz": read_npz,
}
"""Format -> the reader of its arrays by name."""

# PROTO, maybe FRAME, and LONG1 with the number that begins PyTorch's old layout.
_PYTORCH_LEGACY = re.compile(
    rb"\x80[\x02-\x05](?:\x95.{8})?\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", re.DOTALL
)
# A map whose first key is a text: what Flax writes of a tree.
_MSGPACK = re.compile(rb"(?:[\x81-\x8f]|\xde..|\xdf....)[\xa1-\xbf\xd9]", re.DOTALL)
_TORCH7 = re.compile(rb"[\x00-\x08]\x00\x00\x00|[0-8]\n")
# The keys of NetParameter's `layers` and `layer`, length-delimited.
_CAFFE_LAYER_KEY = re.compile(rb"\x12|\xa2\x06")
# All its fields: number -> wire type.
_CAFFE_NET_FIELDS = {1: 2, 2: 2, 3: 2, 4: 0, 5: 0, 6: 2, 7: 0, 8: 2, 100: 2}


def recognise_format(path: str | os.PathLike[str]) -> str:
    """Returns the format of a checkpoint file, a key of ``READERS`` or ``MSGPACK``.

    Only the beginning is read (of an archive, the list of members), so that a damaged file is recognised and its
    reader reports the damage.

    Raises:
        CheckpointError: If the format is unknown; the message lists the known ones, or says what the file is
            instead and how to come by weights.
    """
    file = MappedFile(path)
    start = file.data[:32].tobytes()
    if start.startswith(SIGNATURE):
        names = list(zip_members(file))
        if any(name.split("/")[-1] == "data.pkl" for name in names) and not is_torchscript(names):
            return "pytorch"
        if any(name.endswith(".npy") for name in names):
            return "npz"
        raise CheckpointError(f"{file.path} {describe_archive(names)}.")
    if _PYTORCH_LEGACY.match(start):
        return "pytorch"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= file.size - 8:
        return "safetensors"
    if _TORCH7.match(start):
        return "torch7"
    if _is_caffemodel(file):
        return "caffemodel"
    if _MSGPACK.match(start):
        return MSGPACK
    raise file.error(
        0,
        f"expected a checkpoint in one of the formats {', '.join(READERS)}, got a file that begins {start[:8]!r}",
    )


def _is_caffemodel(file: MappedFile) -> bool:
    """Returns whether the file begins like a NetParameter with layers."""
    position = 0
    try:
        for field in islice(read_fields(Message(file, 0, file.size)), 16):
            if _CAFFE_NET_FIELDS.get(field.number) != field.wire_type:
                return False
            position = field.end
            if _CAFFE_LAYER_KEY.match(file.map, field.offset):
                return True
    except CheckpointError:
        pass  # The message may be cut off inside a layer; the key at the position decides.
    return _CAFFE_LAYER_KEY.match(file.map, position) is not None

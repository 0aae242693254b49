"""Reads ``.safetensors`` files as views on the mapped file.

The safetensors library checks the file; the arrays are then made here, since the library copies each array and
cannot return bfloat16 to numpy.
"""

import json
import os

import numpy as np
from safetensors import SafetensorError, safe_open

from gradcam_jax.formats.mapped_file import MappedFile, shown
from gradcam_jax.formats.strided import is_representable, widen_bfloat16

_DTYPES = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "C64": "<c8",
    "BF16": "<u2",
}


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads every tensor of a ``.safetensors`` file.

    Returns:
        Name -> array: a read-only view on the mapped file; bfloat16 is widened to float32, exactly.

    Raises:
        CheckpointError: If the file is damaged, or holds a type that numpy has not.
    """
    file = MappedFile(path)
    header, start = _read_header(file)
    arrays = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in _DTYPES:
            raise file.error(
                8, f"{shown(name)} has the type {shown(entry['dtype'])}, expected one of {', '.join(_DTYPES)}"
            )
        dtype = np.dtype(_DTYPES[entry["dtype"]])
        first, end = entry["data_offsets"]
        if not is_representable(entry["shape"]):
            raise file.error(8, f"{shown(name)} has the impossible shape {entry['shape'][:64]}")
        array = file.array_at(start + first, dtype, (end - first) // dtype.itemsize, shown(name))
        if entry["dtype"] == "BF16":
            array = widen_bfloat16(array)
        arrays[name] = array.reshape(entry["shape"])
    return arrays


def read_safetensors_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Reads the text metadata of a ``.safetensors`` file, empty if it has none.

    Raises:
        CheckpointError: If the file is damaged.
    """
    header, _ = _read_header(MappedFile(path))
    return header.get("__metadata__") or {}


def _read_header(file: MappedFile) -> tuple[dict, int]:
    """Returns the header and where the tensors' bytes begin."""
    try:
        with safe_open(file.path, "numpy"):
            pass  # Opening checks types, shapes and offsets.
    except (SafetensorError, OSError) as error:
        raise file.error(0, f"expected a safetensors file: {error}") from error
    length = int.from_bytes(file.bytes_at(0, 8, "the length of the header"), "little")
    return json.loads(file.bytes_at(8, length, "the header")), 8 + length

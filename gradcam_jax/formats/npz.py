"""Reads numpy's ``.npz`` archives, without pickles, and compares every declared size with the file's.

``numpy.load`` allocates the shape that a header declares before it reads the data; here the two are compared
first, and an array that is stored uncompressed is a view on the mapped file.
"""

import math
import os
import re

import numpy as np

from gradcam_jax.formats.mapped_file import MappedFile, shown
from gradcam_jax.formats.strided import is_representable
from gradcam_jax.formats.zip_members import ZipMember, unpacked, zip_members

_MAGIC = b"\x93NUMPY"
_MAX_HEADER_BYTES = 10_000  # numpy's own limit.

# The header is the text of a Python dictionary with these three entries.
_DTYPE = re.compile(rb"""["']descr["']\s*:\s*["']([<>|=]?[biufcSU]\d{1,6})["']""")
_ORDER = re.compile(rb"""["']fortran_order["']\s*:\s*(True|False)""")
_SHAPE = re.compile(rb"""["']shape["']\s*:\s*\(((?:\s*\d{1,18}L?\s*,?)*)\s*\)""")


def read_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads every array of a ``.npz`` file, as ``numpy.load(path, allow_pickle=False)`` does.

    Returns:
        Name without ``".npy"`` -> array, read-only; a view on the mapped file unless it was compressed.

    Raises:
        CheckpointError: If the archive or one of its headers is damaged, or an array holds Python objects.
    """
    file = MappedFile(path)
    members = zip_members(file)
    if not members or not all(name.endswith(".npy") for name in members):
        raise file.error(0, "expected an archive of .npy arrays only")
    return {name.removesuffix(".npy"): _read_array(file, member) for name, member in members.items()}


def _read_array(file: MappedFile, member: ZipMember) -> np.ndarray:
    data = unpacked(file, member)
    prefix = data[:12].tobytes()
    # Version 1 has a two-byte header length, versions 2 and 3 four.
    length_bytes = 2 if prefix[6:7] == b"\x01" else 4
    start = 8 + length_bytes
    header_bytes = int.from_bytes(prefix[8:start], "little")
    if prefix[:6] != _MAGIC or prefix[6:7] not in (b"\x01", b"\x02", b"\x03") or len(prefix) < start:
        raise file.error(member.start, f"expected {shown(member.name)} to begin as a .npy file of version 1 to 3")
    if header_bytes > min(_MAX_HEADER_BYTES, data.size - start):
        raise file.error(member.start, f"{shown(member.name)} declares a header of {header_bytes} bytes")
    header = data[start : start + header_bytes].tobytes()
    dtype, order, shape = (pattern.search(header) for pattern in (_DTYPE, _ORDER, _SHAPE))
    if dtype is None or order is None or shape is None:
        raise file.error(
            member.start,
            f"expected {shown(member.name)} to be an array of numbers or strings, not of objects",
        )
    sizes = [int(size) for size in re.findall(rb"\d+", shape[1])]
    return _as_array(file, member, data[start + header_bytes :], dtype[1].decode(), sizes, order[1] == b"True")


def _as_array(
    file: MappedFile, member: ZipMember, data: np.ndarray, layout: str, sizes: list[int], is_fortran: bool
) -> np.ndarray:
    try:
        dtype = np.dtype(layout)
    except TypeError as error:
        raise file.error(member.start, f"{shown(member.name)} has the unknown dtype {layout!r}") from error
    # An item size of 0 (empty strings) would agree with any shape.
    expected = math.prod(sizes) * dtype.itemsize
    if dtype.itemsize == 0 or not is_representable(sizes) or expected != data.size:
        raise file.error(
            member.start,
            f"expected {shown(member.name)} to hold {expected} bytes (shape {sizes[:64]}, {dtype}), "
            f"got {data.size}",
        )
    return data.view(dtype).reshape(sizes, order="F" if is_fortran else "C")

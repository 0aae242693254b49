"""Finds the members of a zip archive in a mapped file, and returns their bytes, without a copy where possible.

PyTorch and numpy both store arrays in zip archives, usually uncompressed: such a member is a range of the file.
"""

import struct
import zipfile
import zlib
from typing import NamedTuple

import numpy as np

from gradcam_jax.formats.mapped_file import MappedFile, shown

SIGNATURE = b"PK\x03\x04"

MAX_EXPANSION = 32
"""An archive may unpack to this many times its size: weights compress less, hostile files a thousandfold."""

EXPANSION_ALLOWANCE = 64 << 20
"""Bytes to which any archive may unpack."""

_LOCAL_HEADER = struct.Struct("<4s22xHH")


class ZipMember(NamedTuple):
    """One member.

    Attributes:
        name: Its path in the archive.
        start: Where its bytes begin in the file.
        stored: Its bytes in the file, uint8, a view.
        is_compressed: Whether the bytes are deflated.
        size: The number of the unpacked bytes.
        checksum: The CRC-32 of the unpacked bytes.
    """

    name: str
    start: int
    stored: np.ndarray
    is_compressed: bool
    size: int
    checksum: int


def zip_members(file: MappedFile) -> dict[str, ZipMember]:
    """Returns an archive's members by name.

    Raises:
        CheckpointError: If the file is not a sound archive, a member is encrypted or compressed by another
            method than deflate, or the archive would unpack to far more than its size.
    """
    try:
        with zipfile.ZipFile(file.path) as archive:
            entries = archive.infolist()
    # What zipfile raises at a damaged directory; NotImplementedError at a version of zip that it does not know.
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error) as error:
        raise file.error(0, f"expected a sound zip archive: {error}") from error
    if sum(entry.file_size for entry in entries) > EXPANSION_ALLOWANCE + MAX_EXPANSION * file.size:
        raise file.error(0, f"the archive would unpack to more than {MAX_EXPANSION} times its size")
    return {entry.filename: _locate(file, entry) for entry in entries}


def _locate(file: MappedFile, entry: zipfile.ZipInfo) -> ZipMember:
    name = shown(entry.filename)
    is_compressed = entry.compress_type == zipfile.ZIP_DEFLATED
    if entry.flag_bits & 1 or not (is_compressed or entry.compress_type == zipfile.ZIP_STORED):
        raise file.error(entry.header_offset, f"{name} is encrypted, or compressed by an unknown method")
    if not is_compressed and entry.file_size != entry.compress_size:
        raise file.error(entry.header_offset, f"{name} is not compressed, but has two sizes")
    signature, name_bytes, extra_bytes = file.unpack_at(
        entry.header_offset, _LOCAL_HEADER, f"the archive's header of {name}"
    )
    if signature != SIGNATURE:
        raise file.error(entry.header_offset, f"expected the archive's header of {name}")
    start = entry.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
    stored = file.array_at(start, np.dtype(np.uint8), entry.compress_size, f"the contents of {name}")
    return ZipMember(entry.filename, start, stored, is_compressed, entry.file_size, entry.CRC)


def unpacked(file: MappedFile, member: ZipMember) -> np.ndarray:
    """Returns a member's bytes, uint8: a view if it is stored uncompressed, else a copy with a verified checksum.

    Raises:
        CheckpointError: If the bytes are damaged.
    """
    if not member.is_compressed:
        return member.stored
    try:
        # One byte more than declared shows that the declaration is wrong.
        raw = zlib.decompressobj(-zlib.MAX_WBITS).decompress(member.stored.tobytes(), member.size + 1)
    except zlib.error as error:
        raise file.error(member.start, f"{shown(member.name)} is damaged: {error}") from error
    if len(raw) != member.size:
        raise file.error(member.start, f"{shown(member.name)} is damaged: its unpacked size is not {member.size}")
    check_sum(file, member, raw)
    return np.frombuffer(raw, np.uint8)


def check_sum(file: MappedFile, member: ZipMember, raw: bytes) -> None:
    """Raises CheckpointError unless ``raw`` has the checksum that the archive gives for the member."""
    if zlib.crc32(raw) != member.checksum:
        raise file.error(member.start, f"{shown(member.name)} is damaged: its checksum differs")

"""Reads protocol-buffer messages in a mapped file, without a schema compiler and without copying.

A message is a sequence of fields, each a varint key ``(number << 3) | wire type`` and a value: a varint (0),
8 bytes (1), a length and as many bytes (2), or 4 bytes (5). The caller knows what a field means; a field that it
does not know is skipped by its length, and its bytes are not read.

References:
    https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gradcam_jax.formats.mapped_file import MappedFile

VARINT, FIXED64, LENGTH_DELIMITED, GROUP_START, GROUP_END, FIXED32 = range(6)

_MAX_VARINT_BYTES = 10


class Message(NamedTuple):
    """The bytes ``start`` to ``end`` of a file, which hold one message."""

    file: MappedFile
    start: int
    end: int


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        file: The file that contains the field.
        offset: Where its key begins.
        number: Its number in the schema.
        wire_type: How its value is written.
        integer: The value of a varint; 0 for the other wire types.
        start: First byte of the value; of its contents, if it has a length.
        end: First byte after the value.
    """

    file: MappedFile
    offset: int
    number: int
    wire_type: int
    integer: int
    start: int
    end: int


def read_fields(message: Message) -> Iterator[Field]:
    """Yields a message's fields in order; groups, a form older than Caffe, are skipped.

    Raises:
        CheckpointError: If the message is cut off or is not a message; the error names the byte.
    """
    file, position, end = message
    open_groups = 0
    while position < end:
        offset = position
        key, position = _read_varint(file, position, end)
        number, wire_type = key >> 3, key & 7
        if number == 0 or wire_type > FIXED32:
            raise file.error(offset, f"expected a protobuf field, got number {number} with wire type {wire_type}")
        integer, start = 0, position
        if wire_type == VARINT:
            integer, position = _read_varint(file, position, end)
        elif wire_type == LENGTH_DELIMITED:
            length, start = _read_varint(file, position, end)
            position = start + length
        elif wire_type == FIXED64:
            position += 8
        elif wire_type == FIXED32:
            position += 4
        else:
            open_groups += 1 if wire_type == GROUP_START else -1
        if position > end or open_groups < 0:
            raise file.error(
                offset, f"field {number} ends {position - end} bytes after the message that contains it"
            )
        if open_groups == 0 and wire_type != GROUP_END:
            yield Field(file, offset, number, wire_type, integer, start, position)
    if open_groups:
        raise file.error(end, f"{open_groups} protobuf groups are not closed")


def submessage(field: Field) -> Message:
    """Returns the message that a field holds."""
    _expect(field, LENGTH_DELIMITED, "a message")
    return Message(field.file, field.start, field.end)


def text(field: Field) -> str:
    """Returns a field's string; bytes that are not UTF-8 are replaced."""
    _expect(field, LENGTH_DELIMITED, "a string")
    return field.file.bytes_at(field.start, field.end - field.start, "a string").decode("utf-8", "replace")


def integer(field: Field) -> int:
    """Returns a field's varint as an int64, so it may be negative."""
    _expect(field, VARINT, "an integer")
    return _signed(field.integer)


def integers(field: Field) -> list[int]:
    """Returns the integers of a repeated field, one alone or many packed."""
    if field.wire_type == VARINT:
        return [_signed(field.integer)]
    _expect(field, LENGTH_DELIMITED, "packed integers")
    values, position = [], field.start
    while position < field.end:
        value, position = _read_varint(field.file, position, field.end)
        values.append(_signed(value))
    return values


def packed_array(field: Field, dtype: np.dtype) -> np.ndarray:
    """Returns the packed numbers of a repeated float or double field, ``(n,)``: a view, maybe unaligned."""
    _expect(field, LENGTH_DELIMITED, "packed numbers")
    size = field.end - field.start
    if size % dtype.itemsize:
        raise field.file.error(field.start, f"expected whole {dtype} numbers, got {size} bytes")
    return field.file.array_at(field.start, dtype, size // dtype.itemsize, "packed numbers")


def unpacked_array(field: Field, dtype: np.dtype, end: int) -> np.ndarray:
    """Returns the run of unpacked numbers that begins with a field, ``(n,)``: a view with gaps for the keys.

    Very old writers put the one-byte key before every float. Reading millions of them field by field takes
    seconds, so numpy counts the equal keys of the run.

    Args:
        field: The first of the run.
        dtype: float32 or float64, little-endian.
        end: Where the message that holds the run ends.
    """
    _expect(field, FIXED32 if dtype.itemsize == 4 else FIXED64, f"a {dtype} number")
    stride = field.end - field.offset
    rows = field.file.data[field.offset : field.offset + (end - field.offset) // stride * stride]
    rows = rows.reshape(-1, stride)
    length, step = 1, 64
    # Doubling steps keep the work linear in the length of the run, long or short.
    while length < len(rows):
        different = np.flatnonzero(rows[length : length + step, 0] != rows[0, 0])
        if different.size:
            length += int(different[0])
            break
        length, step = min(length + step, len(rows)), step * 2
    return rows[:length, stride - dtype.itemsize :].view(dtype)[:, 0]


def _expect(field: Field, wire_type: int, meaning: str) -> None:
    if field.wire_type != wire_type:
        raise field.file.error(
            field.offset,
            f"expected {meaning} (wire type {wire_type}) as field {field.number}, got wire type {field.wire_type}",
        )


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _read_varint(file: MappedFile, position: int, end: int) -> tuple[int, int]:
    """Returns the unsigned varint at ``position`` and the position after it."""
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        if position + index >= end:
            raise file.error(position, "expected a varint, but the message ends within it")
        byte = file.map[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position + index + 1
    raise file.error(position, f"expected a varint, got more than {_MAX_VARINT_BYTES} bytes of one")

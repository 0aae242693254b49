"""The two forms in which Torch7 writes numbers and characters: as bytes, and as text.

Both classes keep the position and have the same operations, so that the reader of objects is written once. An
operation reads one value and raises CheckpointError, which says what was expected, if the file does not have it.

References:
    ``lib/TH/THDiskFile.c`` of torch/torch7.
"""

import re
import struct

import numpy as np

from gradcam_jax.formats.mapped_file import MappedFile

# The longest number that Torch writes has 25 characters.
_TOKEN = re.compile(rb"\s*+([^\s_]{1,64})(?!\S)")
_BLANK = re.compile(rb"\s*+\Z")


class BinaryScalars:
    """Little-endian bytes without padding, in which a C long has 8 bytes, or 4 on 32-bit writers.

    Attributes:
        file: The file.
        position: The next byte.
        min_object_bytes: The fewest bytes that an object of the file can take.
    """

    min_object_bytes = 4
    _INT = struct.Struct("<i")
    _DOUBLE = struct.Struct("<d")

    def __init__(self, file: MappedFile, long_bytes: int):
        self.file = file
        self.position = 0
        self._long = struct.Struct("<q" if long_bytes == 8 else "<i")

    def _unpack(self, layout: struct.Struct, expected: str):
        (value,) = self.file.unpack_at(self.position, layout, expected)
        self.position += layout.size
        return value

    def integer(self, expected: str) -> int:
        """Reads a C int, 4 bytes."""
        return self._unpack(self._INT, expected)

    def long(self, expected: str) -> int:
        """Reads a C long."""
        return self._unpack(self._long, expected)

    def longs(self, count: int, expected: str) -> list[int]:
        """Reads several C longs."""
        self.file.check_range(self.position, count * self._long.size, expected)
        return [self.long(expected) for _ in range(count)]

    def double(self, expected: str) -> float:
        """Reads a C double, 8 bytes."""
        return self._unpack(self._DOUBLE, expected)

    def characters(self, count: int, expected: str) -> bytes:
        """Reads a string's bytes, which have no terminator."""
        value = self.file.bytes_at(self.position, count, expected)
        self.position += count
        return value

    def skip_characters(self, count: int, expected: str) -> None:
        """Skips a string's bytes."""
        self.file.check_range(self.position, count, expected)
        self.position += count

    def stored_dtype(self, dtype: np.dtype) -> np.dtype:
        """Returns the dtype of a storage's elements in this file: a C long may have 4 bytes."""
        return np.dtype(self._long.format) if dtype == np.int64 else dtype

    def array(self, dtype: np.dtype, count: int, expected: str) -> np.ndarray:
        """Returns a storage's elements as a view on the file."""
        values = self.file.array_at(self.position, dtype, count, expected)
        self.position += values.nbytes
        return values

    def at_end(self) -> bool:
        """Returns whether nothing is left."""
        return self.position == self.file.size


class AsciiScalars:
    """Decimal numbers; a newline ends each array of them and each string. Attributes as of BinaryScalars."""

    min_object_bytes = 2

    def __init__(self, file: MappedFile):
        self.file = file
        self.position = 0

    def _number(self, convert, expected: str):
        match = _TOKEN.match(self.file.map, self.position)
        if match is None:
            raise self.file.error(self.position, f"expected {expected}, found no number")
        try:
            value = convert(match[1])
        except ValueError as error:
            raise self.file.error(self.position, f"expected {expected}, got {match[1][:20]!r}") from error
        self.position = match.end()
        return value

    def _skip_newline(self) -> None:
        if self.position < self.file.size and self.file.map[self.position] == ord("\n"):
            self.position += 1

    def _numbers(self, convert, count: int, expected: str):
        # A number takes a digit and a blank at least.
        self.file.check_range(self.position, 2 * count - 1 if count else 0, expected)
        for _ in range(count):
            yield self._number(convert, expected)
        if count:
            self._skip_newline()

    def integer(self, expected: str) -> int:
        """Reads a C int."""
        return self.long(expected)

    def long(self, expected: str) -> int:
        """Reads a C long."""
        return self.longs(1, expected)[0]

    def longs(self, count: int, expected: str) -> list[int]:
        """Reads several C longs."""
        if count < 0:
            raise self.file.error(self.position, f"expected {expected}, got the count {count}")
        return list(self._numbers(int, count, expected))

    def double(self, expected: str) -> float:
        """Reads a C double."""
        (value,) = self._numbers(float, 1, expected)
        return value

    def characters(self, count: int, expected: str) -> bytes:
        """Reads a string's bytes, which are written unchanged."""
        value = self.file.bytes_at(self.position, count, expected)
        self.skip_characters(count, expected)
        return value

    def skip_characters(self, count: int, expected: str) -> None:
        """Skips a string's bytes."""
        self.file.check_range(self.position, count, expected)
        self.position += count
        if count:
            self._skip_newline()

    def stored_dtype(self, dtype: np.dtype) -> np.dtype:
        """Returns the dtype of a storage's elements in this file: text can hold every number."""
        return dtype

    def array(self, dtype: np.dtype, count: int, expected: str) -> np.ndarray:
        """Reads a storage's elements: bytes are written as characters, other types as numbers."""
        if dtype.itemsize == 1:
            return np.frombuffer(self.characters(count, expected), dtype)
        start = self.position
        self.file.check_range(start, 2 * count - 1 if count else 0, expected)
        convert = float if dtype.kind == "f" else int
        try:
            return np.fromiter(self._numbers(convert, count, expected), dtype, count)
        except OverflowError as error:
            raise self.file.error(start, f"expected {expected}, got a number too large for {dtype}") from error

    def at_end(self) -> bool:
        """Returns whether nothing but blanks is left."""
        return _BLANK.match(self.file.map, self.position) is not None

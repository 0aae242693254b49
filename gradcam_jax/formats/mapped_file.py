"""A checkpoint file mapped into memory, whose every read is checked against the file's end.

Arrays handed out are read-only views on the map: the operating system loads a page when it is first
touched, so a reader costs memory only for the weights that are used, and a count that a damaged file
declares is compared with the bytes that are there *before* anything is allocated.
"""

import mmap
import os
import struct

import numpy as np

from gradcam_jax.errors import CheckpointError

_MAX_NAME_SHOWN = 80


class MappedFile:
    """The bytes of one file, with reads that fail by naming the file, the byte and what was expected.

    Attributes:
      path: the file's name, as it appears in error messages.
      map: the mapped bytes.
      size: their number.
      data: the same as uint8, shape (size,), read-only; the map stays open as long as any view on it lives.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = os.fspath(path)
        try:
            with open(self.path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size == 0:
                    raise CheckpointError(f"{self.path}: expected a checkpoint, got an empty file")
                self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                self.size = size
                self.data = np.frombuffer(self.map, np.uint8)
        except OSError as error:
            raise CheckpointError(f"{self.path}: cannot be read: {error.strerror or error}") from error

    def error(self, offset: int, problem: str) -> CheckpointError:
        """Returns (does not raise) the error that reports `problem` at byte `offset` of this file."""
        return CheckpointError(f"{self.path}: at byte {offset}: {problem}")

    def check_range(self, offset: int, count: int, expected: str) -> None:
        """Raises CheckpointError unless bytes `offset` to `offset + count` lie inside the file."""
        if offset < 0 or count < 0:
            raise self.error(offset, f"expected {expected}, got a negative position or length ({count} bytes)")
        if offset + count > self.size:
            remaining = max(self.size - offset, 0)
            raise self.error(offset, f"expected {expected} ({count} bytes), but only {remaining} bytes are left")

    def bytes_at(self, offset: int, count: int, expected: str) -> bytes:
        """Copies `count` bytes from `offset`; `expected` says in an error what should have been there."""
        self.check_range(offset, count, expected)
        return self.map[offset : offset + count]

    def byte_at(self, offset: int) -> int:
        """The byte at `offset`, which the caller knows to lie inside the file."""
        return self.map[offset]

    def unpack_at(self, offset: int, layout: struct.Struct, expected: str) -> tuple:
        """Unpacks one `struct` layout at `offset`."""
        if offset < 0 or offset + layout.size > self.size:
            self.check_range(offset, layout.size, expected)
        return layout.unpack_from(self.map, offset)

    def array_at(self, offset: int, dtype: np.dtype, count: int, expected: str) -> np.ndarray:
        """A view, shape (count,), on the file's bytes from `offset`; nothing is copied.

        The start need not be a multiple of the item size: numpy reads such unaligned arrays correctly, and
        whatever needs alignment (a device transfer) makes its own copy.
        """
        self.check_range(offset, count * dtype.itemsize if count >= 0 else count, expected)
        return self.data[offset : offset + count * dtype.itemsize].view(dtype)


def shown(value: object) -> str:
    """Describes a value from an untrusted file, safely and briefly: by its type, or its text if it is one."""
    if isinstance(value, str):
        return repr(value if len(value) <= _MAX_NAME_SHOWN else value[:_MAX_NAME_SHOWN] + "...")
    return f"a {type(value).__name__}"

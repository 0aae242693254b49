"""A checkpoint file mapped into memory, whose every read is checked against the file's end.

The arrays that readers return are read-only views on the map: the operating system loads a page when it is
first used, so that memory holds only the weights in use. A count that a damaged file declares is compared with
the file's size *before* anything is allocated.
"""

import mmap
import os
import struct

import numpy as np

from gradcam_jax.errors import CheckpointError
from gradcam_jax.formats.mistaken import describe_mistaken

_MAX_NAME_SHOWN = 80


class MappedFile:
    """The bytes of one file, with reads that fail by naming the file, the byte and what was expected.

    Attributes:
        path: The file's name, as it appears in error messages.
        map: The mapped bytes.
        size: The number of bytes.
        data: The bytes as uint8, ``(size,)``, read-only; the map stays open while a view on it exists.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = os.fspath(path)
        try:
            with open(self.path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size == 0:
                    raise CheckpointError(
                        f"{self.path}: expected a checkpoint, got an empty file: a download or a copy that did "
                        "not finish. Fetch it again"
                    )
                self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                self.size = size
                self.data = np.frombuffer(self.map, np.uint8)
        except OSError as error:
            raise CheckpointError(f"{self.path}: cannot be read: {error.strerror or error}") from error
        mistaken = describe_mistaken(self.map[:512])
        if mistaken:
            raise CheckpointError(f"{self.path} {mistaken}.")

    def error(self, offset: int, problem: str) -> CheckpointError:
        """Returns (does not raise) the error that reports ``problem`` at byte ``offset`` of this file."""
        return CheckpointError(f"{self.path}: at byte {offset}: {problem}")

    def check_range(self, offset: int, count: int, expected: str) -> None:
        """Raises CheckpointError unless bytes ``offset`` to ``offset + count`` lie inside the file."""
        if offset < 0 or count < 0:
            raise self.error(offset, f"expected {expected}, got a negative position or length ({count} bytes)")
        if offset + count > self.size:
            remaining = max(self.size - offset, 0)
            raise self.error(offset, f"expected {expected} ({count} bytes), but only {remaining} bytes are left")

    def bytes_at(self, offset: int, count: int, expected: str) -> bytes:
        """Copies ``count`` bytes from ``offset``; an error names them as ``expected``."""
        self.check_range(offset, count, expected)
        return self.map[offset : offset + count]

    def unpack_at(self, offset: int, layout: struct.Struct, expected: str) -> tuple:
        """Unpacks one ``struct`` layout at ``offset``."""
        self.check_range(offset, layout.size, expected)
        return layout.unpack_from(self.map, offset)

    def array_at(self, offset: int, dtype: np.dtype, count: int, expected: str) -> np.ndarray:
        """Returns a view, ``(count,)``, on the file's bytes from ``offset``.

        The start need not be a multiple of the item size: numpy reads unaligned arrays, and a transfer to a device
        makes an aligned copy.
        """
        self.check_range(offset, count * dtype.itemsize if count >= 0 else count, expected)
        return self.data[offset : offset + count * dtype.itemsize].view(dtype)


def shown(value: object) -> str:
    """Describes a value from an untrusted file, safely and briefly: by its type, or a text by itself."""
    if isinstance(value, str):
        return repr(value if len(value) <= _MAX_NAME_SHOWN else value[:_MAX_NAME_SHOWN] + "...")
    return f"a {type(value).__name__}"

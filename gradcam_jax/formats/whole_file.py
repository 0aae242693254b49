"""Files that hold their whole content or do not exist: written under another name, synced, then renamed."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a file that gets the path's name only when the body has ended and every byte is on the disk.

    At an error the path holds its earlier content, and no other file is left. Several processes may write one path
    at once: the last to end decides, and no reader sees a mixture.

    Args:
        path: The file; its folder is made if it does not exist.

    Yields:
        The open file, for writing and seeking.

    Raises:
        OSError: If it cannot be written, for example because the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Writes bytes, or text as UTF-8, by :func:`replacing`."""
    with replacing(path) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


def append_line(path: str | os.PathLike[str], line: str) -> None:
    """Appends a line in one write, so that several processes may append to one file."""
    with open(path, "ab", buffering=0) as file:
        file.write(f"{line}\n".encode())


def _sync_folder(folder: Path) -> None:
    """Waits until a renamed file's new name is on the disk, on systems that sync folders."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

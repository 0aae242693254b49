"""An exclusive lock on a file name, so that two programs never write one file at once.

The operating system holds the lock and releases it when its holder ends, however it ends: a crashed download
leaves nothing to clear away. The lock's own empty file stays; removing it would let a third program lock a new
file of the same name while a second still holds the old one.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


# What the two systems answer when another process holds the lock.
_HELD = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)


@contextlib.contextmanager
def exclusive(path: Path, wait: Callable[[], object]) -> Iterator[None]:
    """Holds the lock named ``path`` while the body runs.

    Args:
        path: The lock's file; it is made if it is not there. Its folder must exist.
        wait: Called each time another process holds the lock; it should sleep for a while, and may raise to
            give up.

    Yields:
        Nothing.

    Raises:
        OSError: If the file cannot be made, or its file system has no locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        while not _taken(descriptor):
            wait()
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        _take(descriptor)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise
    return True

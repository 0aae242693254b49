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
    """Holds the lock named ``path``, in a folder that exists, while the body runs.

    Each time that another process holds it, ``wait`` is called: it should sleep for a while, and may raise to give
    up. An OSError says that the file cannot be made, or that its file system has no locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        while True:
            try:
                _take(descriptor)
                break
            except OSError as error:
                if error.errno not in _HELD:
                    raise
            wait()
        yield
    finally:
        os.close(descriptor)

"""Tests that measure time run while no other test does, however many processes share the suite.

Every test holds one lock, shared; a test marked ``timed`` holds it alone. It keeps the others from starting while
it waits, so that it gets its turn. The locks lie on two files of the suite, which nobody writes.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

RUNNING, NEXT = Path(__file__), Path(__file__).with_name("conftest.py")


@contextlib.contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    """Holds a lock. Processes that a test forks inherit it, so closing the file would not give it up."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


@contextlib.contextmanager
def turn(*, alone: bool) -> Iterator[None]:
    """Waits until a test may run, and holds its turn."""
    with contextlib.ExitStack() as stack:
        with _locked(NEXT, fcntl.LOCK_EX):
            stack.enter_context(_locked(RUNNING, fcntl.LOCK_EX if alone else fcntl.LOCK_SH))
        yield

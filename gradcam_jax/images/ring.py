"""Batches of decoded photos in memory that several processes share, used again and again.

A photo's pixels are written where the devices read them: no process sends pixels to another.
"""

import mmap
import os
import queue
import tempfile
from typing import NamedTuple

import numpy as np


class Layout(NamedTuple):
    """What lies in the memory.

    Attributes:
        batches: Batches in the ring.
        rows: Photos of a batch.
        size: Side of a photo, in pixels.
        dtype: Name of the pixels' type, ``"uint8"`` or ``"uint16"``.
    """

    batches: int
    rows: int
    size: int
    dtype: str


class Ring:
    """So many batches of pixels, each free or in use; made by one process, opened by the others.

    Attributes:
        layout: What lies in it.
        descriptor: The memory's file descriptor, to be inherited by the other processes.
        pixels: ``(batches, rows, size, size, 3)``.
    """

    def __init__(self, layout: Layout, descriptor: int | None = None):
        """Makes the memory, or opens that of a descriptor; it is freed after the last process that has it."""
        shape = (layout.batches, layout.rows, layout.size, layout.size, 3)
        length = int(np.prod(shape)) * np.dtype(layout.dtype).itemsize
        self.layout = layout
        self.descriptor = _anonymous_file(length) if descriptor is None else descriptor
        self.pixels = np.frombuffer(mmap.mmap(self.descriptor, length), layout.dtype).reshape(shape)
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for batch in range(layout.batches):
            self._free.put(batch)

    def take(self) -> int:
        """Returns the number of a batch that is free, after waiting for one; it is in use from now on."""
        return self._free.get()

    def give_back(self, batch: int) -> None:
        """Frees a batch: its pixels may be overwritten."""
        self._free.put(batch)

    def close(self) -> None:
        """Lets the memory go, once nobody holds :attr:`pixels`."""
        del self.pixels
        os.close(self.descriptor)


def _anonymous_file(length: int) -> int:
    # memfd_create is not bound by the size of /dev/shm, which is 64 MB in many containers.
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("gradcam_jax")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, length)
    return descriptor

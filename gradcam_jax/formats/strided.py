"""A tensor as a view on a flat storage: sizes, strides and an offset, checked before they are used; bfloat16."""

import math
from collections.abc import Sequence

import numpy as np

MAX_DIMENSIONS = 64
"""numpy's own limit."""

MAX_EXPANDED_ELEMENTS = 1 << 20
"""Elements from which a tensor may not be larger than its storage.

A tensor expanded with stride 0 has more elements than its storage. Sound files hold small ones (a broadcast
scale); a damaged one could declare 2**60, which a copy would allocate.
"""


def is_representable(sizes: Sequence[int]) -> bool:
    """Returns whether numpy can hold a shape: it multiplies the sizes without the zeros, which may overflow."""
    return len(sizes) <= MAX_DIMENSIONS and math.prod(size for size in sizes if size) < 1 << 48


def strided_view(storage: np.ndarray, offset: int, sizes: Sequence[int], strides: Sequence[int]) -> np.ndarray:
    """Returns a flat storage as a tensor, as Torch7 and PyTorch store one.

    Args:
        storage: ``(n,)``, any dtype.
        offset: 0-based index of the tensor's first element in the storage.
        sizes: The tensor's shape; empty for a scalar.
        strides: Elements (not bytes) between neighbours along each axis, never negative.

    Returns:
        A view of shape ``sizes``.

    Raises:
        ValueError: If the view leaves the storage; the message says which number is wrong. The readers turn it
            into a CheckpointError that adds the file and the byte.
    """
    if len(sizes) != len(strides):
        raise ValueError(f"a tensor has {len(sizes)} sizes but {len(strides)} strides")
    if len(sizes) > MAX_DIMENSIONS:
        raise ValueError(f"a tensor has {len(sizes)} dimensions, expected at most {MAX_DIMENSIONS}")
    if offset < 0 or any(number < 0 for number in (*sizes, *strides)):
        raise ValueError(
            f"a tensor has a negative offset, size or stride: {offset}, {list(sizes)}, {list(strides)}"
        )
    count = math.prod(sizes)
    if count == 0:
        if not is_representable(sizes):
            raise ValueError(f"an empty tensor has the impossible shape {list(sizes)}")
        return np.empty(tuple(sizes), storage.dtype)
    if count > max(storage.size, MAX_EXPANDED_ELEMENTS):
        raise ValueError(f"a tensor of shape {list(sizes)} has {count} elements, its storage only {storage.size}")
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if last >= storage.size:
        raise ValueError(
            f"a tensor of shape {list(sizes)}, strides {list(strides)} and offset {offset} reaches "
            f"element {last}, but its storage has {storage.size}"
        )
    # The stride of an axis of length 1 is never used, and some writers store a wrong one.
    byte_strides = [
        stride * storage.itemsize if size > 1 else 0 for size, stride in zip(sizes, strides, strict=True)
    ]
    return np.lib.stride_tricks.as_strided(
        storage[offset:], tuple(sizes), byte_strides, writeable=storage.flags.writeable
    )


def widen_bfloat16(bits: np.ndarray) -> np.ndarray:
    """Returns bfloat16 values, given as uint16 since numpy lacks the type, as float32, exactly."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)

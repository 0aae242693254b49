"""From files to what the device takes, in threads, in order, never far ahead.

Threads and not processes: Pillow decodes and resizes outside Python's lock, and what threads decode need not be
copied from one process to another.
"""

import collections
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.images import Preprocessing, network_image, read_photo
from gradcam_jax.pipeline.items import Item

Source = TypeVar("Source")
Made = TypeVar("Made")


class Decoded(NamedTuple):
    """One image, ready for the device, or the reason why it is not.

    Attributes:
        item: What it is.
        image: RGB in [0, 1] as float32, or uint8 where the preprocessing works on bytes, ``(size, size, 3)``;
            None if there is an error, or once the image is part of a batch.
        arrays: What goes with the image, by name.
        photo: The photo, uint8 ``(H, W, 3)``, if pictures are to be made of it.
        box: The part of the photo that the image shows, ``(left, top, right, bottom)`` in pixels.
        error: Why there is no image; empty if there is one.
        seconds: What it took.
    """

    item: Item
    image: np.ndarray | None
    arrays: Mapping[str, np.ndarray]
    photo: np.ndarray | None
    box: tuple[float, float, float, float]
    error: str
    seconds: float


def decode(
    item: Item,
    preprocessing: Preprocessing,
    size: int,
    encode: Callable[[Mapping[str, str]], Mapping[str, np.ndarray]],
    *,
    keep_photo: bool = False,
    scaled: bool = False,
) -> Decoded:
    """Reads one image; what is wrong with it is in the result, not raised.

    Args:
        item: What to read.
        preprocessing: The model's.
        size: Side of the network's image, in pixels.
        encode: From what is asked about the image to the arrays that go with it; raises InputError for what is not
            there.
        keep_photo: Whether the photo is kept, to draw on it.
        scaled: Whether JPEGs far larger than needed are decoded at 1/2, 1/4 or 1/8 of their size.
    """
    started = time.perf_counter()
    try:
        if item.problem:
            raise InputError(item.problem)
        arrays = encode(item.request)
        photo = item.pixels() if item.pixels else read_photo(item.path, at_least=2 * size if scaled else None)
        resized = network_image(photo, preprocessing, size)
        kept = photo if keep_photo else None
        return Decoded(item, resized.image, arrays, kept, resized.box, "", time.perf_counter() - started)
    except (InputError, OSError, MemoryError) as error:
        reason = str(error) or type(error).__name__
        return Decoded(item, None, {}, None, (0.0, 0.0, 0.0, 0.0), reason, time.perf_counter() - started)


def in_order(
    make: Callable[[Source], Made], sources: Iterable[Source], pool: ThreadPoolExecutor, *, ahead: int
) -> Iterator[Made]:
    """Yields ``make(x)`` for each x in order, made in a pool, at most so many ahead of what is taken.

    Example:
        >>> with ThreadPoolExecutor(2) as pool:
        ...     list(in_order(abs, [-1, -2, -3], pool, ahead=2))
        [1, 2, 3]
    """
    waiting: collections.deque[Future[Made]] = collections.deque()
    try:
        for source in sources:
            waiting.append(pool.submit(make, source))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


class Batch(NamedTuple):
    """So many images that the device takes at once, the last batch padded with its last image.

    Attributes:
        decoded: The images that count, in order, and between them those that failed.
        images: ``(batch, size, size, 3)``.
        arrays: Name -> ``(batch, ...)``.
        count: How many of the rows count.
    """

    decoded: list[Decoded]
    images: np.ndarray
    arrays: dict[str, np.ndarray]
    count: int


def batches(decoded: Iterable[Decoded], size: int) -> Iterator[Batch]:
    """Gathers images into batches of one shape, so that one compiled program serves all.

    A batch's rows are its images that could be decoded; those that could not go with the batch that they came
    in, so that the manifest keeps the order. Where no image could be decoded a batch has no rows.

    Args:
        decoded: The images.
        size: Rows of a batch.
    """
    group: list[Decoded] = []
    good = 0
    for one in decoded:
        group.append(one)
        good += not one.error
        # A long stretch of broken files must not be held back, nor held in memory.
        if good == size or len(group) >= 16 * size:
            yield _stacked(group, size)
            group, good = [], 0
    if group:
        yield _stacked(group, size)


def _stacked(group: list[Decoded], size: int) -> Batch:
    good: list[Any] = [one for one in group if not one.error]
    if not good:
        return Batch(group, np.empty(0), {}, 0)
    rows = [*good, *[good[-1]] * (size - len(good))]
    images = np.stack([one.image for one in rows])
    arrays = {name: np.stack([one.arrays[name] for one in rows]) for name in rows[0].arrays}
    # The network's images are in the batch now; they need not be held twice.
    return Batch([one._replace(image=None) for one in group], images, arrays, len(good))

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
from gradcam_jax.images.photos import read_photo
from gradcam_jax.images.preprocessing import Preprocessing
from gradcam_jax.pipeline.items import Item

Wanted = TypeVar("Wanted")
Made = TypeVar("Made")


class Decoded(NamedTuple):
    """One image, ready for the device, or the reason why it is not.

    Attributes:
        item: What it is.
        image: RGB in [0, 1] as float32, or the bytes that the recipe made, uint8, ``(size, size, 3)``; None if
            there is an error, or once the image is part of a batch.
        inputs: What else the model takes for this image, by name.
        photo: The photo, uint8 ``(H, W, 3)``, if pictures are to be made of it.
        box: The part of the photo that the image shows, ``(left, top, right, bottom)`` in pixels.
        error: Why there is no image; empty if there is one.
        seconds: What it took.
    """

    item: Item
    image: np.ndarray | None
    inputs: Mapping[str, np.ndarray]
    photo: np.ndarray | None
    box: tuple[float, float, float, float]
    error: str
    seconds: float


def decode(
    item: Item,
    recipe: Preprocessing,
    size: int,
    request: Callable[[Item], Mapping[str, np.ndarray]],
    *,
    keep_photo: bool = False,
    scaled: bool = False,
) -> Decoded:
    """Reads one image; what is wrong with it is in the result, not raised.

    Args:
        item: What to read.
        recipe: The model's preprocessing.
        size: Side of the network's image, in pixels.
        request: From the item to the model's other inputs; raises InputError if it asks for what is not there.
        keep_photo: Whether the photo is kept, to draw on it.
        scaled: Whether JPEGs far larger than needed are decoded at 1/2, 1/4 or 1/8 of their size.
    """
    started = time.perf_counter()
    try:
        if item.problem:
            raise InputError(item.problem)
        inputs = request(item)
        photo = item.pixels() if item.pixels else read_photo(item.path, at_least=2 * size if scaled else None)
        resized = recipe.resize(photo, size)
        image = np.rint(resized.image * 255).astype(np.uint8) if recipe.in_bytes else resized.image
        kept = photo if keep_photo else None
        return Decoded(item, image, inputs, kept, resized.box, "", time.perf_counter() - started)
    except (InputError, OSError, MemoryError) as error:
        why = str(error) or type(error).__name__
        return Decoded(item, None, {}, None, (0.0, 0.0, 0.0, 0.0), why, time.perf_counter() - started)


def in_order(
    make: Callable[[Wanted], Made], wanted: Iterable[Wanted], pool: ThreadPoolExecutor, *, ahead: int
) -> Iterator[Made]:
    """Yields ``make(x)`` for each x in order, made in a pool, at most so many ahead of what is taken.

    Example:
        >>> with ThreadPoolExecutor(2) as pool:
        ...     list(in_order(abs, [-1, -2, -3], pool, ahead=2))
        [1, 2, 3]
    """
    waiting: collections.deque[Future[Made]] = collections.deque()
    try:
        for one in wanted:
            waiting.append(pool.submit(make, one))
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
        inputs: Name -> ``(batch, ...)``.
        count: How many of the rows count.
    """

    decoded: list[Decoded]
    images: np.ndarray
    inputs: dict[str, np.ndarray]
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
    inputs = {name: np.stack([one.inputs[name] for one in rows]) for name in rows[0].inputs}
    # The network's images are in the batch now; they need not be held twice.
    return Batch([one._replace(image=None) for one in group], images, inputs, len(good))

"""Measures how fast photos become arrays: in threads and in processes, at full and at a smaller scale."""

import functools
import itertools
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.images.preprocessing import PREPROCESSINGS
from gradcam_jax.pipeline.decoding import decode
from gradcam_jax.pipeline.items import Item, read_items


class Way(NamedTuple):
    """One way to decode.

    Attributes:
        pool: ``"threads"`` or ``"processes"``.
        workers: How many.
        scaled: Whether large JPEGs are decoded at 1/2, 1/4 or 1/8 of their size.
    """

    pool: str
    workers: int
    scaled: bool


def measure_decoding(
    images: str,
    ways: Sequence[Way],
    *,
    recipe: str = "efficientnet_lite",
    size: int = 224,
    count: int = 200,
    rounds: int = 3,
    report: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Measures photos per second, the ways taking turns.

    Args:
        images: The photos, as ``--images`` takes them.
        ways: What is measured.
        recipe: The preprocessing.
        size: Side of the network's image, in pixels.
        count: At most so many photos.
        rounds: How often each way is measured.
        report: Told what is measured.

    Returns:
        For each way ``pool, workers, scaled, photos, photos_per_second`` (the median) and ``rounds``.

    Raises:
        InputError: If there are no photos.
    """
    items = list(itertools.islice(read_items(images), count))
    if not items:
        raise InputError(f"There is no image in {images!r}.")
    rates: dict[Way, list[float]] = {way: [] for way in ways}
    for number in range(rounds):
        for way in ways:
            report(f"round {number + 1} of {rounds}: {way.workers} {way.pool}{' scaled' if way.scaled else ''}")
            rates[way].append(_rate(items, way, recipe, size))
    return [
        {**way._asdict(), "photos": len(items), "photos_per_second": float(np.median(found)), "rounds": found}
        for way, found in rates.items()
    ]


def _rate(items: Sequence[Item], way: Way, recipe: str, size: int) -> float:
    # A process that runs JAX must not be forked: its threads would be missing in the copy.
    processes = functools.partial(ProcessPoolExecutor, mp_context=multiprocessing.get_context("spawn"))
    make: dict[str, Callable[[int], Executor]] = {"threads": ThreadPoolExecutor, "processes": processes}
    read = functools.partial(_read, recipe=recipe, size=size, scaled=way.scaled)
    with make[way.pool](way.workers) as pool:
        list(pool.map(read, items[: 2 * way.workers]))  # The workers have started.
        started = time.perf_counter()
        for _ in pool.map(read, items):
            pass
        return len(items) / (time.perf_counter() - started)


def _read(item: Item, recipe: str, size: int, *, scaled: bool) -> np.ndarray | None:
    return decode(item, PREPROCESSINGS[recipe], size, _ask_nothing, scaled=scaled).image


def _ask_nothing(_: Item) -> dict[str, np.ndarray]:
    return {}

"""Measures a run from files to written maps beside its compiled function alone, on the same batches."""

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.pipeline.decoding import Batch, batches, decode, in_order
from gradcam_jax.pipeline.device import DeviceFunction
from gradcam_jax.pipeline.items import Item, read_items
from gradcam_jax.pipeline.job import Job
from gradcam_jax.pipeline.run import explain_images, open_store


def measure_pipeline(
    job: Job,
    images: str,
    *,
    batch_size: int,
    workers: int,
    count: int | None = None,
    rounds: int = 3,
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measures images per second, taking turns: the compiled function alone, then the whole run.

    The function alone is given the decoded batches, one after the other, and its results stay where they are;
    the run reads and decodes the files, explains, and writes shards and manifest. Compilation comes before both.

    Args:
        job: The task and the model.
        images: The photos.
        batch_size: Images at once.
        workers: Threads that decode.
        count: At most so many photos.
        rounds: How often each is measured.
        report: Told what is measured.

    Returns:
        ``images``, ``batch_size``, ``workers``; ``function`` and ``run`` (images per second, a list of rounds);
        ``ratio``, the median of the rounds' ratios.
    """
    items = list(itertools.islice(read_items(images), count))
    function = DeviceFunction(job, jax.local_devices())
    stored = [batch for batch in _decoded(job, items, batch_size, workers) if batch.count]
    if not stored:
        raise InputError(f"There is no image in {images!r} that can be decoded.")
    jax.block_until_ready(function(*function.put(stored[0].images, stored[0].inputs)))
    alone, whole = [], []
    for number in range(rounds):
        report(f"round {number + 1} of {rounds}")
        alone.append(_alone(function, stored))
        whole.append(_whole(job, function, items, batch_size, workers))
    return {
        "images": sum(batch.count for batch in stored),
        "batch_size": batch_size,
        "workers": workers,
        "function": alone,
        "run": whole,
        "ratio": float(np.median(np.divide(whole, alone))),
    }


def _decoded(job: Job, items: list[Item], batch_size: int, workers: int) -> Iterator[Batch]:
    with ThreadPoolExecutor(workers) as pool:
        read = lambda item: decode(item, job.recipe, job.size, job.request)  # noqa: E731
        yield from batches(in_order(read, items, pool, ahead=2 * workers), batch_size)


def _alone(function: DeviceFunction, stored: list[Batch]) -> float:
    started = time.perf_counter()
    for batch in stored:
        jax.block_until_ready(function(*function.put(batch.images, batch.inputs)))
    return sum(batch.count for batch in stored) / (time.perf_counter() - started)


def _whole(job: Job, function: DeviceFunction, items: list[Item], batch_size: int, workers: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        with open_store(job, Path(folder)) as store:
            progress = explain_images(job, function, iter(items), store, batch_size=batch_size, workers=workers)
        return progress.explained / (time.perf_counter() - started)

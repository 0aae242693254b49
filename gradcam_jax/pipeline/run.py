"""A run: images stream through decoding, the devices and the disk, all at work at once.

Processes decode ahead; this thread moves batches to the devices and starts them; one thread waits for results and
brings them back, and one writes them. What is between them is bounded, so memory does not grow with the number of
images.
"""

import contextlib
import operator
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
from jax.profiler import TraceAnnotation

from gradcam_jax.engine.devices import DeviceFunction
from gradcam_jax.errors import InputError
from gradcam_jax.images.decoder import EXACT, Decoded, Decoding, Settings
from gradcam_jax.images.ring import Layout, Ring
from gradcam_jax.pipeline.computation import image_dtype
from gradcam_jax.pipeline.decoders import Decoders, Work
from gradcam_jax.pipeline.decoding import AHEAD, Batch, decoded_batches
from gradcam_jax.pipeline.items import Item
from gradcam_jax.pipeline.machine import usable_cores
from gradcam_jax.pipeline.manifest import Done
from gradcam_jax.pipeline.progress import Progress
from gradcam_jax.pipeline.stage import Stage
from gradcam_jax.tasks.rows import Description
from gradcam_jax.tasks.task import Task

_ON_DEVICE = 2  # batches: one is computed while the next is moved there

Draw = Callable[[Item, Decoded, Description], None]
Report = Callable[[Progress], None]


class Store(Protocol):
    """Where results go: a :class:`~gradcam_jax.pipeline.store.RunStore`, or a part's.

    Attributes:
        done: What was dealt with before.
        disk_seconds: That writing took so far.
    """

    done: Done
    disk_seconds: float

    def add(self, images: Sequence[Mapping[str, Any]], arrays: Mapping[str, np.ndarray]) -> None:
        """Takes in some images, explained or failed."""
        ...


def explain_items(
    task: Task,
    function: DeviceFunction,
    items: Iterator[Item],
    store: Store,
    *,
    batch_size: int,
    workers: int,
    decoding: Decoding = EXACT,
    draw: Draw | None = None,
    report: Report = lambda _: None,
    stop: threading.Event | None = None,
    front: "Front | None" = None,
) -> Progress:
    """Explains every image that is not done yet, and writes the results.

    Args:
        task: The task and the model.
        function: The task's function on its devices, as :func:`device_function` makes it.
        items: What to explain; only as much is read as is about to be needed.
        store: Where results go, entered as a context by the caller.
        batch_size: Images a batch, over all devices; a multiple of their number.
        workers: Processes that decode, at most: those past the number of cores start when files are slow.
        decoding: How photos are decoded.
        draw: Draws pictures of one explained image; called in threads before the image counts.
        report: Called whenever a batch is written.
        stop: When set, no more images are begun; those begun are finished and written.
        front: What decodes, where it serves several calls; else it is started for this one.

    Returns:
        The final progress.

    Raises:
        InputError: If the source cannot be read or results cannot be written; what was written before is safe.
    """
    stop = stop or threading.Event()
    progress, started = Progress(), time.perf_counter()
    broken: list[InputError] = []
    undone = _undone(items, store, progress, stop, broken)
    with contextlib.ExitStack() as stack:
        own = started_front(task, batch_size, workers, decoding, keep_photo=draw is not None)
        decoders, ring = front or stack.enter_context(own)
        before = decoders.work
        threads = stack.enter_context(ThreadPoolExecutor(workers, "draw"))
        write = _Writing(task, store, progress, started, draw, threads, report)
        writer = stack.enter_context(Stage("write", write))
        fetch = _Fetching(progress, started, ring, writer)
        fetcher = stack.enter_context(Stage("fetch", fetch, drop=fetch.release))
        batches = decoded_batches(undone, task.encode, decoders, ring)
        while True:
            waiting = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                break
            progress.starved_seconds += time.perf_counter() - waiting
            _account(decoders, before, progress)
            if len(decoders) < workers and decoders.wait_for_files:
                decoders.start_another()
            fetcher.take(_started(batch, function, progress))
    if broken:
        raise broken[0]
    progress.seconds = time.perf_counter() - started
    return progress


class Front(NamedTuple):
    """What decodes: processes, and the memory that they share with this one. Of no use after an error."""

    decoders: Decoders
    ring: Ring


@contextlib.contextmanager
def started_front(
    task: Task, batch_size: int, workers: int, decoding: Decoding = EXACT, *, keep_photo: bool = False
) -> Iterator[Front]:
    """Starts the processes that decode, and ends them.

    Args:
        task: As :func:`explain_items` takes it, and so the next three.
        batch_size: Images a batch.
        workers: Processes, at most as many as there are cores.
        decoding: How photos are decoded.
        keep_photo: Whether photos are drawn, so needed whole.
    """
    layout = Layout(AHEAD + 1 + _ON_DEVICE + 1, batch_size, task.size, image_dtype(task))
    with contextlib.closing(Ring(layout)) as ring:
        settings = Settings(task.plan.preprocessing, decoding, keep_photo, layout, ring.descriptor)
        with Decoders(settings, min(workers, usable_cores())) as decoders:
            yield Front(decoders, ring)


class _Started(NamedTuple):
    """A batch whose results are being computed; None if it has no image that could be decoded."""

    batch: Batch
    results: Any
    begun: float


def _started(batch: Batch, function: DeviceFunction, progress: Progress) -> _Started:
    if not batch.arrays:
        return _Started(batch, None, 0.0)
    begun = time.perf_counter()
    with TraceAnnotation("move"):
        moved = jax.block_until_ready(function.put(batch.images, batch.arrays))
    progress.transfer_seconds += time.perf_counter() - begun
    known, begun = function.compilations, time.perf_counter()
    results = function(*moved)
    # What compiling took is no work of the devices.
    return _Started(batch, results, begun if function.compilations == known else time.perf_counter())


def _account(decoders: Decoders, before: Work, progress: Progress) -> None:
    progress.processes = len(decoders)
    progress.decode_seconds, progress.decode_processor_seconds, progress.file_seconds = map(
        operator.sub, decoders.work, before
    )


def _undone(
    items: Iterator[Item], store: Store, progress: Progress, stop: threading.Event, broken: list[InputError]
) -> Iterator[Item]:
    """Yields what is to be done; a source that breaks ends it, so that what was read before is still explained."""
    try:
        for item in items:
            if stop.is_set():
                return
            if item.id in store.done:
                progress.skipped += 1
            else:
                yield item
    except InputError as error:
        broken.append(error)


class _Fetching:
    """Waits for a batch's results, brings them back, frees the batch's place in the ring and hands it on."""

    def __init__(self, progress: Progress, started: float, ring: Ring, writer: "Stage[_Fetched]"):
        self._progress, self._started, self._ring, self._writer = progress, started, ring, writer
        self._ready = 0.0

    def release(self, started: _Started) -> None:
        self._ring.give_back(started.batch.place)

    def __call__(self, started: _Started) -> None:
        progress, arrays = self._progress, None
        try:
            if started.results is not None:
                with TraceAnnotation("compute"):
                    jax.block_until_ready(started.results)
                ready = time.perf_counter()
                progress.compute_seconds += ready - max(started.begun, self._ready)
                progress.first_map_seconds = progress.first_map_seconds or ready - self._started
                self._ready = ready
                with TraceAnnotation("fetch"):
                    arrays = jax.device_get(started.results)
                progress.fetch_seconds += time.perf_counter() - ready
        finally:
            self.release(started)  # not before: on CPUs the images were computed on where they lie
        self._writer.take(_Fetched(started.batch, arrays))


class _Fetched(NamedTuple):
    """A batch with its results, name -> ``(rows, ...)``; None if none of its images could be decoded."""

    batch: Batch
    arrays: dict[str, np.ndarray] | None


class _Writing:
    """Draws and writes a batch; what is said of an image is made for one that is drawn alone."""

    def __init__(
        self,
        task: Task,
        store: Store,
        progress: Progress,
        started: float,
        draw: Draw | None,
        threads: ThreadPoolExecutor,
        report: Report,
    ):
        self._task, self._store, self._progress, self._started = task, store, progress, started
        self._draw, self._threads, self._report = draw, threads, report

    def __call__(self, fetched: _Fetched) -> None:
        since = time.perf_counter()
        lines, rows = self._lines(fetched)
        if self._draw is not None:
            list(self._threads.map(lambda row: self._drawn(fetched, row), rows))
            self._progress.draw_seconds += time.perf_counter() - since
        arrays = fetched.arrays or {}
        whole = len(rows) == len(fetched.batch.images)
        with TraceAnnotation("write"):
            self._store.add(lines, {name: array if whole else array[rows] for name, array in arrays.items()})
        self._progress.explained += len(rows)
        self._progress.failed += len(lines) - len(rows)
        now = time.perf_counter()
        self._progress.write_seconds += now - since
        self._progress.disk_seconds = self._store.disk_seconds
        self._progress.seconds = now - self._started
        self._report(self._progress)

    def _lines(self, fetched: _Fetched) -> tuple[list[dict[str, Any]], list[int]]:
        """Returns the manifest's lines, and the rows of the images that were explained."""
        lines, rows = [], []
        for row, (item, decoded) in enumerate(zip(fetched.batch.items, fetched.batch.decoded, strict=True)):
            fields: dict[str, Any] = {"id": item.id, "path": _whole_path(item), "request": dict(item.request)}
            try:
                if decoded.error:
                    raise InputError(decoded.error)
                fields |= self._task.record(_row(fetched, row), item.request)
                rows.append(row)
            except InputError as error:
                fields["error"] = str(error)
            lines.append(fields)
        return lines, rows

    def _drawn(self, fetched: _Fetched, row: int) -> None:
        assert self._draw is not None
        item = fetched.batch.items[row]
        self._draw(item, fetched.batch.decoded[row], self._task.describe(_row(fetched, row), item.request))


def _whole_path(item: Item) -> str:
    """Returns a file's absolute path: whoever reads the run may stand elsewhere."""
    return os.path.abspath(item.path) if item.path and item.pixels is None else item.path


def _row(fetched: _Fetched, row: int) -> dict[str, np.ndarray]:
    return {name: array[row] for name, array in (fetched.arrays or {}).items()}

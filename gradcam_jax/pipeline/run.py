"""A run: images stream through decoding, the devices and the disk, all three at work at once.

Threads decode ahead; this thread moves batches to the devices and starts them; one thread waits for results and
writes them. Queues between them are bounded, so memory does not grow with the number of images.
"""

import dataclasses
import functools
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from gradcam_jax.engine.devices import DeviceFunction
from gradcam_jax.errors import InputError
from gradcam_jax.pipeline.decoding import Batch, Decoded, batches, decode, in_order
from gradcam_jax.pipeline.items import Item
from gradcam_jax.pipeline.store import RunStore
from gradcam_jax.tasks.rows import Description
from gradcam_jax.tasks.task import Task

_ON_DEVICE = 2  # batches: one is computed while the next is moved there

Row = dict[str, np.ndarray]
Draw = Callable[[Decoded, Description], None]


@dataclasses.dataclass
class Progress:
    """How far a run is, and where its time goes.

    Attributes:
        explained: Images explained by this process since it started.
        failed: Images that could not be.
        skipped: Images that were done before.
        first_map_seconds: From the start to the first map, compilation included.
        seconds: Since the start.
        decode_seconds: Spent decoding, over all threads.
        starved_seconds: That the devices' thread waited for decoded images.
        transfer_seconds: Spent moving batches to the devices.
        compute_seconds: That the devices were at work.
        write_seconds: Spent bringing results back, drawing and writing.
    """

    explained: int = 0
    failed: int = 0
    skipped: int = 0
    first_map_seconds: float = 0.0
    seconds: float = 0.0
    decode_seconds: float = 0.0
    starved_seconds: float = 0.0
    transfer_seconds: float = 0.0
    compute_seconds: float = 0.0
    write_seconds: float = 0.0


def explain_items(
    task: Task,
    function: DeviceFunction,
    items: Iterator[Item],
    store: RunStore,
    *,
    batch_size: int,
    workers: int,
    scaled: bool = False,
    draw: Draw | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> Progress:
    """Explains every image that is not done yet, and writes the results.

    Args:
        task: The task and the model.
        function: The task's function on its devices, as :func:`device_function` makes it.
        items: What to explain; only as much is read as is about to be needed.
        store: Where results go, entered as a context by the caller.
        batch_size: Images a batch, over all devices; a multiple of their number.
        workers: Threads that decode.
        scaled: Whether large JPEGs are decoded at a smaller scale.
        draw: Draws pictures of one explained image; called in the decoding threads before the image counts.
        report: Called whenever a batch is written.
        stop: When set, no more images are begun; those begun are finished and written.

    Returns:
        The final progress.

    Raises:
        InputError: If the source cannot be read or results cannot be written; what was written before is safe.
    """
    stop = stop or threading.Event()
    progress, started = Progress(), time.perf_counter()
    broken: list[InputError] = []
    read = functools.partial(
        decode,
        preprocessing=task.plan.preprocessing,
        size=task.size,
        encode=task.encode,
        keep_photo=draw is not None,
        scaled=scaled,
    )
    with ThreadPoolExecutor(workers, "decode", initializer=_yield_to_the_device) as pool:
        writer = _Writer(task, store, progress, started, draw, pool, report)
        undone = _undone(items, store, progress, stop, broken)
        decoded = in_order(read, undone, pool, ahead=2 * batch_size + workers)
        with writer:
            waiting = time.perf_counter()
            for batch in batches(decoded, batch_size):
                begun = time.perf_counter()
                progress.starved_seconds += begun - waiting
                results = None
                if batch.count:
                    moved = jax.block_until_ready(function.put(batch.images, batch.arrays))
                    progress.transfer_seconds += time.perf_counter() - begun
                    results = function(*moved)
                writer.take(batch, results)
                waiting = time.perf_counter()
    if broken:
        raise broken[0]
    progress.seconds = time.perf_counter() - started
    return progress


def _yield_to_the_device() -> None:
    """Lowers a decoding thread's priority: what computes on the same cores must not wait for it."""
    if sys.platform == "linux":  # elsewhere threads have no priority of their own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def _undone(
    items: Iterator[Item], store: RunStore, progress: Progress, stop: threading.Event, broken: list[InputError]
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


class _Writer:
    """Waits for results in a thread of its own and writes them; what goes wrong there is raised to the caller."""

    def __init__(
        self,
        task: Task,
        store: RunStore,
        progress: Progress,
        started: float,
        draw: Draw | None,
        pool: ThreadPoolExecutor,
        report: Callable[[Progress], None],
    ):
        self._task, self._store, self._progress, self._started = task, store, progress, started
        self._draw, self._pool, self._report = draw, pool, report
        self._batches: queue.Queue[Any] = queue.Queue(maxsize=_ON_DEVICE - 1)
        self._thread = threading.Thread(target=self._work, name="write", daemon=True)
        self._error: BaseException | None = None
        self._ready = 0.0

    def __enter__(self) -> "_Writer":
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._batches.put(None)
        self._thread.join()
        if self._error is not None and kind is None:
            raise self._error

    def take(self, batch: Batch, results: Any) -> None:
        """Hands a batch over; waits while enough of them are on the devices."""
        self._batches.put((batch, results, time.perf_counter()))
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (taken := self._batches.get()) is not None:
            if self._error is None:
                try:
                    self._write(*taken)
                except BaseException as error:
                    self._error = error

    def _write(self, batch: Batch, results: Any, begun: float) -> None:
        rows: list[Row] = []
        if results is not None:
            jax.block_until_ready(results)
            ready = time.perf_counter()
            self._progress.compute_seconds += ready - max(begun, self._ready)
            self._ready = ready
            self._progress.first_map_seconds = self._progress.first_map_seconds or ready - self._started
            arrays = jax.device_get(results)
            rows = [{name: array[row] for name, array in arrays.items()} for row in range(batch.count)]
        since = time.perf_counter()
        results_of = iter(rows)
        explained = [self._described(one, None if one.error else next(results_of)) for one in batch.decoded]
        if self._draw is not None:
            good = [one for one in explained if not one.error]
            list(self._pool.map(self._draw, [one.decoded for one in good], [one.description for one in good]))
        for one in explained:
            self._progress.decode_seconds += one.decoded.seconds
            fields = {"id": one.decoded.item.id, "path": one.decoded.item.path}
            if one.error:
                self._store.add_failure(fields, one.error)
                self._progress.failed += 1
            else:
                first = one.description.rows[0]
                fields |= {"prediction": one.description.prediction, "score": first.score}
                self._store.add({**fields, "all_negative": first.all_negative}, one.row)
                self._progress.explained += 1
        now = time.perf_counter()
        self._progress.write_seconds += now - since
        self._progress.seconds = now - self._started
        self._report(self._progress)

    def _described(self, decoded: Decoded, row: Row | None) -> "_Explained":
        if row is None:
            return _Explained(decoded, {}, None, decoded.error)
        try:
            return _Explained(decoded, row, self._task.describe(row, decoded.item.request), "")
        except InputError as error:
            return _Explained(decoded, row, None, str(error))


class _Explained(NamedTuple):
    """One image with its results and what is said of it, or why there is nothing to be said."""

    decoded: Decoded
    row: Row
    description: Any
    error: str

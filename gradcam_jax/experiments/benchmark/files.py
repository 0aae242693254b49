"""Times the way from files: decoding in every way, and a whole run beside its compiled function alone."""

import dataclasses
import functools
import itertools
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from gradcam_jax import zoo
from gradcam_jax.app.machine import decoding_threads, usable_cores
from gradcam_jax.errors import InputError
from gradcam_jax.experiments.benchmark.machine import this_run
from gradcam_jax.experiments.benchmark.table import write_csv
from gradcam_jax.experiments.benchmark.turns import in_turns
from gradcam_jax.experiments.reporting import Say, silent
from gradcam_jax.images.preprocessing import PREPROCESSINGS
from gradcam_jax.pipeline import Item, device_function, explain_items, open_store, read_items
from gradcam_jax.pipeline.decoding import Batch, batches, decode, in_order
from gradcam_jax.tasks.classification import classification
from gradcam_jax.tasks.task import Task

COLUMNS = ("what", "pool", "workers", "scaled", "batch_size", "images", "images_per_second", "rounds")
"""Of the table; ``rounds`` are the images per second of each."""

_DECODED = 200  # photos, unless a number is given

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Options:
    """What to time.

    Attributes:
        images: The photos, as ``--images`` of ``explain.py`` takes them.
        workers: Threads that decode in the run.
        count: At most so many photos are decoded, and explained.
        rounds: How often each is measured.
    """

    images: str
    model: str = zoo.DEFAULTS["classification"]
    batch_size: int = 32
    workers: int = dataclasses.field(default_factory=decoding_threads)
    count: int | None = None
    rounds: int = 5
    out_path: str = "docs/benchmarks/files.csv"


class Way(NamedTuple):
    """One way to decode: by ``"threads"`` or ``"processes"``, large JPEGs at 1/2, 1/4 or 1/8 if ``scaled``."""

    pool: str
    workers: int
    scaled: bool


def run(options: Options, say: Say) -> list[Row]:
    """Times, writes the CSV, reports how near the run comes to its function, and returns the table's rows."""
    ways = [Way(pool, number, False) for pool in ("threads", "processes") for number in (1, usable_cores())]
    rows = measure_decoding(options, [*ways, Way("threads", usable_cores(), True)], say)
    rows += measure_run(options, classification(zoo.load(options.model, task="classification")), say)
    ratio = f"{np.median(np.divide(rows[-1]['rounds'], rows[-2]['rounds'])):.3f}"
    about = this_run() | {"model": options.model, "run / function (median of the rounds' ratios)": ratio}
    write_csv(options.out_path, about, COLUMNS, map(_as_text, rows))
    say(f"run / function: {ratio}; written: {options.out_path}")
    return rows


def measure_decoding(options: Options, ways: Sequence[Way], say: Say = silent) -> list[Row]:
    """Measures how many photos a second become arrays, the ways taking turns; a row for each way."""
    items = list(itertools.islice(read_items(options.images), options.count or _DECODED))
    if not items:
        raise InputError(f"There is no image in {options.images!r}.")
    entry = zoo.find(options.model)
    # Processes get the preprocessing's name, since functions that are made on the spot cannot be sent to them.
    read = functools.partial(_read, preprocessing=entry.preprocessing.name, size=entry.preprocessing.size)
    calls = {way: functools.partial(_decoding_rate, items, way, read) for way in ways}
    return [
        _row("decoding", len(items), rates, **way._asdict())
        for way, rates in in_turns(calls, options.rounds, say=say).items()
    ]


def measure_run(options: Options, task: Task, say: Say = silent) -> list[Row]:
    """Measures images per second, taking turns: the compiled function alone, then the whole run; a row for each.

    The function alone is given the decoded batches, one after the other, and its results stay where they are;
    the run reads and decodes the files, explains, and writes shards and manifest. Compilation comes before both.
    """
    items = list(itertools.islice(read_items(options.images), options.count))
    settings = {"batch_size": options.batch_size, "workers": options.workers}
    function = device_function(task, jax.local_devices())
    decoded = [batch for batch in _decoded(task, items, options) if batch.count]
    if not decoded:
        raise InputError(f"There is no image in {options.images!r} that can be decoded.")
    images = sum(batch.count for batch in decoded)

    def explain(batches: Iterable[Batch]) -> None:
        for batch in batches:
            jax.block_until_ready(function(*function.put(batch.images, batch.arrays)))

    def run_to(folder: str) -> None:
        with open_store(task, folder) as store:
            explain_items(
                task, function, iter(items), store, batch_size=options.batch_size, workers=options.workers
            )

    def run_rate() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return _rate(lambda: run_to(folder), images)

    explain(decoded[:1])
    rates_of = in_turns(
        {"function": lambda: _rate(lambda: explain(decoded), images), "run": run_rate}, options.rounds, say=say
    )
    return [_row(what, images, rates, **settings) for what, rates in rates_of.items()]


def _decoded(task: Task, items: Iterable[Item], options: Options) -> Iterator[Batch]:
    preprocessing = task.plan.preprocessing
    read = functools.partial(decode, preprocessing=preprocessing, size=task.size, encode=task.encode)
    with ThreadPoolExecutor(options.workers) as pool:
        yield from batches(in_order(read, items, pool, ahead=2 * options.workers), options.batch_size)


def _decoding_rate(items: Sequence[Item], way: Way, read: Callable[..., Any]) -> float:
    # A process that runs JAX must not be forked: its threads would be missing in the copy.
    processes = functools.partial(ProcessPoolExecutor, mp_context=multiprocessing.get_context("spawn"))
    executor: Callable[[int], Executor] = ThreadPoolExecutor if way.pool == "threads" else processes
    read = functools.partial(read, scaled=way.scaled)
    with executor(way.workers) as pool:
        list(pool.map(read, items[: 2 * way.workers]))  # The workers have started.
        return _rate(lambda: [None for _ in pool.map(read, items)], len(items))


def _read(item: Item, preprocessing: str, size: int, *, scaled: bool) -> np.ndarray | None:
    return decode(item, PREPROCESSINGS[preprocessing], size, lambda _: {}, scaled=scaled).image


def _rate(work: Callable[[], Any], images: int) -> float:
    started = time.perf_counter()
    work()
    return images / (time.perf_counter() - started)


def _row(what: str, images: int, rates: Sequence[float], **fields: Any) -> Row:
    median = float(np.median(rates))
    return {"what": what, **fields, "images": images, "images_per_second": median, "rounds": rates}


def _as_text(row: Row) -> Row:
    rounds = " ".join(f"{rate:.1f}" for rate in row["rounds"])
    return row | {"images_per_second": f"{row['images_per_second']:.1f}", "rounds": rounds}

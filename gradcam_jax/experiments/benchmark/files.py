"""Times the way from files: decoding alone, moving alone, the compiled function alone, and the whole run."""

import contextlib
import dataclasses
import functools
import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from gradcam_jax import zoo
from gradcam_jax.errors import InputError
from gradcam_jax.experiments.benchmark.machine import this_run
from gradcam_jax.experiments.benchmark.models import load_or_random
from gradcam_jax.experiments.benchmark.table import write_csv
from gradcam_jax.experiments.benchmark.turns import in_turns
from gradcam_jax.experiments.reporting import Say, silent
from gradcam_jax.images.decoder import EXACT, Decoding, Settings
from gradcam_jax.images.ring import Layout, Ring
from gradcam_jax.pipeline import Computation, Item, device_function, explain_items, open_store, read_items
from gradcam_jax.pipeline.computation import image_dtype
from gradcam_jax.pipeline.decoders import Decoders
from gradcam_jax.pipeline.decoding import AHEAD, decoded_batches
from gradcam_jax.pipeline.machine import decoding_processes, usable_cores
from gradcam_jax.tasks.classification import classification
from gradcam_jax.tasks.task import Setting, Task

COLUMNS = ("what", "workers", "decoding", "batch_size", "images", "images_per_second", "rounds")
"""Of the table; ``rounds`` are the images per second of each."""

_AT_HAND = 2048  # decoded images that are kept for what is measured without decoding, at least one batch

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Options:
    """What to time.

    Attributes:
        images: The photos, as ``--images`` of ``explain.py`` takes them.
        model: A classifier of the zoo; with random weights where its own are not here.
        recipe: Name of the preprocessing; empty: the model's own.
        dtype: The precision, as ``--dtype`` of ``explain.py`` takes it.
        decoding: How photos are decoded; what is measured from files is measured with exact decoding too.
        workers: Processes that decode in the run.
        count: So many photos: the source's, again and again. None: the source's, each once.
        rounds: How often each is measured.
    """

    images: str
    model: str = zoo.DEFAULTS["classification"]
    recipe: str = ""
    dtype: str = "float32"
    decoding: Decoding = EXACT
    batch_size: int = 32
    workers: int = dataclasses.field(default_factory=decoding_processes)
    count: int | None = None
    rounds: int = 5
    out_path: str = "docs/benchmarks/files.csv"


class Way(NamedTuple):
    """One way to decode, by so many processes."""

    workers: int
    decoding: Decoding


def run(options: Options, say: Say) -> list[Row]:
    """Times, writes the CSV, reports how near the run comes to its function, and returns the table's rows."""
    task = task_of(options)
    counts = sorted({1, options.workers, usable_cores()})
    ways = [Way(count, decoding) for decoding in _decodings(options) for count in counts]
    rows = measure_decoding(options, task, ways, say)
    rows += measure_run(options, task, say)
    rounds = {row["what"]: row["rounds"] for row in rows}
    ratio = f"{np.median(np.divide(rounds['run'], rounds['function'])):.3f}"
    about = this_run() | {"model": options.model, "recipe": task.plan.preprocessing.name, "dtype": options.dtype}
    about["size"] = str(task.size)
    about |= {"run / function (median of the rounds' ratios)": ratio}
    write_csv(options.out_path, about, COLUMNS, map(_as_text, rows))
    say(f"run / function: {ratio}; written: {options.out_path}")
    return rows


def task_of(options: Options) -> Task:
    """Returns the task at the size of the model's preprocessing, as published: figures of many models compare."""
    loaded = load_or_random(options.model)
    chosen = zoo.named_preprocessing(options.recipe) if options.recipe else loaded.entry.preprocessing
    return classification(loaded, Setting(size=chosen.size, preprocessing=options.recipe))


def measure_decoding(options: Options, task: Task, ways: Sequence[Way], say: Say = silent) -> list[Row]:
    """Measures how many photos a second become pixels, the ways taking turns; a row for each way."""
    items, most = _items(options), max(way.workers for way in ways)
    # Fewer processes get fewer photos, so that all ways take about as long.
    parts = {way: items[: max(len(items) * way.workers // most, options.batch_size)] for way in ways}
    with contextlib.ExitStack() as stack:
        calls = {}
        for way, part in parts.items():
            count = functools.partial(_count, task, *_decoders(stack, options, task, way))
            count(part[: 2 * options.batch_size])  # the processes have started
            calls[way] = functools.partial(_rate, functools.partial(count, part), len(part))
        rates = in_turns(calls, options.rounds, say=say)
    return [
        _row("decoding", len(parts[way]), rates[way], workers=way.workers, decoding=_name(way.decoding))
        for way in ways
    ]


def measure_run(options: Options, task: Task, say: Say = silent) -> list[Row]:
    """Measures images per second, taking turns: moving alone, the compiled function alone, the whole run.

    Moving takes decoded batches to the devices, one after the other; the function is given batches that are there,
    and its results stay there; the run reads and decodes the files, explains, and writes shards and manifest.
    Compilation comes before all of them.
    """
    items, computation = _items(options), Computation(dtype=options.dtype)
    settings: dict[str, Any] = {"batch_size": options.batch_size, "workers": options.workers}
    function = device_function(task, jax.local_devices(), computation)
    batches, images = _decoded(items, task, options)
    there = [jax.block_until_ready(function.put(*batch)) for batch in batches]
    jax.block_until_ready(function(*there[0]))

    def move() -> None:
        for batch in batches:
            jax.block_until_ready(function.put(*batch))

    def explain() -> None:
        results = None
        for batch in there:
            results, before = function(*batch), results
            jax.block_until_ready(before)
        jax.block_until_ready(results)

    def run_to(folder: str, decoding: Decoding) -> None:
        with open_store(task, folder, computation, decoding=decoding) as store:
            explain_items(task, function, iter(items), store, decoding=decoding, **settings)

    def run_rate(decoding: Decoding) -> float:
        with tempfile.TemporaryDirectory() as folder:
            return _rate(lambda: run_to(folder, decoding), len(items))

    calls: dict[tuple[str, Decoding], Callable[[], float]] = {
        ("transfer", options.decoding): lambda: _rate(move, images),
        ("function", options.decoding): lambda: _rate(explain, images),
    }
    calls |= {("run", one): functools.partial(run_rate, one) for one in _decodings(options)}
    return [
        _row(what, len(items) if what == "run" else images, rates, decoding=_name(decoding), **settings)
        for (what, decoding), rates in in_turns(calls, options.rounds, say=say).items()
    ]


def _decodings(options: Options) -> list[Decoding]:
    return list(dict.fromkeys([EXACT, options.decoding]))


def _items(options: Options) -> list[Item]:
    items = list(itertools.islice(read_items(options.images), options.count))
    if not items:
        raise InputError(f"There is no image in {options.images!r}.")
    if options.count is None:
        return items
    turns = itertools.islice(itertools.cycle(items), options.count)
    return [item._replace(id=f"{number}/{item.id}") for number, item in enumerate(turns)]


def _decoders(stack: contextlib.ExitStack, options: Options, task: Task, way: Way) -> tuple[Decoders, Ring]:
    layout = Layout(AHEAD + 2, options.batch_size, task.size, image_dtype(task))
    ring = stack.enter_context(contextlib.closing(Ring(layout)))
    settings = Settings(task.plan.preprocessing, way.decoding, False, layout, ring.descriptor)
    return stack.enter_context(Decoders(settings, way.workers)), ring


def _count(task: Task, decoders: Decoders, ring: Ring, items: Sequence[Item]) -> None:
    for batch in decoded_batches(items, task.encode, decoders, ring):
        ring.give_back(batch.place)


def _decoded(items: Sequence[Item], task: Task, options: Options) -> tuple[list[Any], int]:
    """Returns batches as the devices take them, and how many images they hold."""
    enough = items[: max(_AT_HAND, options.batch_size)]
    batches, images = [], 0
    with contextlib.ExitStack() as stack:
        decoders, ring = _decoders(stack, options, task, Way(options.workers, options.decoding))
        for batch in decoded_batches(enough, task.encode, decoders, ring):
            if batch.arrays:
                batches.append((batch.images.copy(), batch.arrays))
                images += sum(not one.error for one in batch.decoded)
            ring.give_back(batch.place)
    if not images:
        raise InputError(f"There is no image in {options.images!r} that can be decoded.")
    return batches, images


def _name(decoding: Decoding) -> str:
    return " ".join(name for name, chosen in decoding._asdict().items() if chosen) or "exact"


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

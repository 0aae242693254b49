"""All that is published of one device, within a given time: rates, explanations, peers, files, start, agreement.

The programs are compiled in threads first, then timed one after the other. What matters most comes first; what
there is no time for is named in the table.
"""

import contextlib
import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gradcam_jax import zoo
from gradcam_jax.engine.precision import PRECISIONS
from gradcam_jax.errors import InputError, lookup
from gradcam_jax.experiments.benchmark.agreement import write_photos
from gradcam_jax.experiments.benchmark.explanations import introduced, offered
from gradcam_jax.experiments.benchmark.models import published_entry
from gradcam_jax.experiments.benchmark.peers import PEERS
from gradcam_jax.experiments.benchmark.report import Report
from gradcam_jax.experiments.benchmark.startup import measure_startup
from gradcam_jax.experiments.benchmark.turns import time_task
from gradcam_jax.experiments.benchmark.work import DEFAULT_WORK, WORK, Task, in_words
from gradcam_jax.experiments.benchmark.worker import FILES, OWN, Worker, workers
from gradcam_jax.experiments.reporting import Say
from gradcam_jax.pipeline import read_items
from gradcam_jax.pipeline.machine import usable_cores

PARTS = ("rates", "explanations", "peers", "agreement", "files", "start")
"""What can be surveyed."""

MAIN_WORK = ("grad_cam", "guided_grad_cam", "forward")
"""The work that is timed for every size of batch, and beside the peers for the first."""

_PHOTOS = 8  # whose maps are compared with the CPU's


@dataclasses.dataclass(frozen=True)
class Options:
    """What to survey, by the names of ``scripts/benchmark.py``'s flags, which say what each means.

    Attributes:
        compiled_by: The share of the seconds after which no compilation begins.
        timed_by: The share after which no explanation is timed beside peers, or if peers do not do it at all.
        read_by: The share after which the way from files is begun for no further model.
    """

    models: Sequence[str] = ("vgg16", "efficientnet_lite0")
    work: Sequence[str] = DEFAULT_WORK
    batch_sizes: Sequence[int] = (64, 256, 1)
    precisions: Sequence[str] = tuple(PRECISIONS)
    parts: Sequence[str] = PARTS
    images: str = ""
    count: int = 0
    rounds: int = 15
    most_seconds: float = 2.0
    seconds: float = 230.0
    compiled_by: float = 0.45
    timed_by: float = 0.65
    read_by: float = 0.75
    compile_threads: int = dataclasses.field(default_factory=lambda: max(usable_cores() // 2, 1))
    matrix: int = 8192
    photos: int = 256
    megabytes: int = 1000
    out_path: str = "docs/benchmarks/survey.csv"


def run(options: Options, say: Say) -> Report:
    """Surveys, writes the CSV, reports the tables in Markdown and what was left out, and returns it all."""
    for part in options.parts:
        lookup(dict.fromkeys(PARTS), part, "part of the survey")
    for name in options.work:
        lookup(WORK, name, "kind of work")
    options = dataclasses.replace(options, models=[zoo.find(model).name for model in options.models])
    report = Report(options.out_path)
    _explain(options, report, say)
    if "files" in options.parts:
        with report.part("files"):
            say("files")
            _measure_files(options, report)
    if "start" in options.parts:
        with report.part("start"):
            say("start")
            photo = next(read_items(options.images)).path if options.images else ""
            for name, seconds in measure_startup(
                _with_weights(options), photo, options.seconds - report.elapsed()
            ):
                row = {"work": f"explain.py, one photo, {name}", "value": f"{seconds:.2f}", "unit": "s"}
                report.add("start", [row], model=_with_weights(options))
    say(report.markdown())
    say("\n".join([*(f"Left out: {text}" for text in report.left_out), f"Written: {options.out_path}"]))
    return report


def by_importance(
    models: Sequence[str], work: Sequence[str], batch_sizes: Sequence[int], precisions: Sequence[str]
) -> list[Task]:
    """Returns the tasks, the most important first: of the first size of batch all, of the others the main work.

    Example:
        >>> tasks = by_importance(["vgg16"], ["forward", "all_classes"], [64, 1], ["float32", "bfloat16"])
        >>> [(task.work, task.batch_size, task.precision) for task in tasks[:3]]
        [('forward', 64, 'bfloat16'), ('forward', 64, 'float32'), ('all_classes', 64, 'bfloat16')]
        >>> [(task.work, task.batch_size) for task in tasks[4:]]
        [('forward', 1), ('forward', 1)]
    """
    first, *others = batch_sizes
    steps = [(name, first) for name in MAIN_WORK]
    steps += [(MAIN_WORK[0], size) for size in others]
    steps += [(name, first) for name in work if name not in MAIN_WORK]
    steps += [(name, size) for name in MAIN_WORK[1:] for size in others]
    return [
        Task(model, name, size, precision)
        for name, size in steps
        if name in work
        for model in models
        for precision in reversed(precisions)
    ]


def _explain(options: Options, report: Report, say: Say) -> None:
    """Surveys what needs the models on the device: rates, explanations, peers, agreement."""
    threads, parts = usable_cores(), options.parts
    with (
        workers([OWN, *(PEERS if "peers" in parts else ())], threads) as started,
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(1) as pool,
    ):
        (own, *peers), report.about = introduced(started, threads, report.left_out.append)
        precisions = offered(own, options.models[0], options.precisions, report.left_out.append)
        if "rates" in parts:
            with report.part("rates"):
                say("rates")
                _measure_rates(options, own, precisions, report)
        if "explanations" not in parts:
            return
        tasks = by_importance(options.models, options.work, options.batch_sizes, precisions)
        # The device is not being timed while this runs.
        reference = pool.submit(_explain_on_cpu, options, Path(folder)) if "agreement" in parts else None
        with report.part("compilation"):
            say(f"compiling {len(tasks)} programs")
            seconds = max(options.compiled_by * options.seconds - report.elapsed(), 0)
            missing = own.ask("compile_ahead", tasks, seconds, options.compile_threads)
            tasks = [task for task in tasks if in_words(task) not in missing]
            _name_missing(missing, report)
        if reference is not None:
            with report.part("agreement"):
                say("agreement")
                _compare(own, reference.result(), tasks, options, Path(folder), report)
        with report.part("explanations"):
            say(f"timing {len(tasks)} programs")
            _time(options, own, peers, tasks, report)


def _measure_rates(options: Options, own: Worker, precisions: Sequence[str], report: Report) -> None:
    report.peaks = own.ask("matrix_rates", options.matrix, precisions)
    name = f"product of matrices, {options.matrix} rows"
    for precision, rate in report.peaks.items():
        report.add("rates", [{"work": name, "precision": precision, "value": f"{rate:.0f}", "unit": "GFLOP/s"}])
    report.add("rates", own.ask("memory_rates", options.photos, options.megabytes))


def _name_missing(missing: Mapping[str, str], report: Report) -> None:
    for reason in dict.fromkeys(missing.values()):
        tasks = ", ".join(task for task, why in missing.items() if why == reason)
        report.left_out.append(f"{reason}: {tasks}")


def _time(options: Options, own: Worker, peers: Sequence[Worker], tasks: Sequence[Task], report: Report) -> None:
    """Times the tasks, those last that the peers do too: they take longest, and late ones are timed without."""
    compared = [task for task in tasks if peers and _is_compared(task, options)]
    # A peer keeps one model in one precision at a time.
    compared.sort(key=lambda task: (options.models.index(task.model), -options.precisions.index(task.precision)))
    deadline, late = options.timed_by * options.seconds, {}
    for task in [*(task for task in tasks if task not in compared), *compared]:
        competitors = [own, *peers] if task in compared else [own]
        if report.elapsed() > deadline:
            what = "peers not timed" if task in compared else "not timed"
            late[in_words(task)] = f"{what} within {deadline:.0f} s"
            competitors = [own] if task in compared else []
        report.timings += time_task(
            competitors, task, options.rounds, options.most_seconds, report.left_out.append
        )
    _name_missing(late, report)


def _is_compared(task: Task, options: Options) -> bool:
    return task.work in MAIN_WORK and task.batch_size == options.batch_sizes[0]


def _explain_on_cpu(options: Options, folder: Path) -> dict[str, list[int]]:
    """Writes photos, and outputs and maps in float32 on the CPU; returns the explained classes of each model."""
    classes = {}
    with contextlib.closing(Worker(OWN, usable_cores(), {"JAX_PLATFORMS": "cpu"})) as cpu:
        for model in options.models:
            photos, path = folder / f"{model}.npy", folder / f"{model}.npz"
            count = write_photos(
                photos, published_entry(model), options.images, min(_PHOTOS, options.batch_sizes[0])
            )
            classes[model] = cpu.ask("maps", Task(model, "grad_cam", count), str(photos), [], str(path))
    return classes


def _compare(
    own: Worker,
    classes: Mapping[str, list[int]],
    tasks: Sequence[Task],
    options: Options,
    folder: Path,
    report: Report,
) -> None:
    """Explains the same photos by the programs that are timed, and compares them with the CPU's."""
    for task in tasks:
        if task.work != "grad_cam" or task.batch_size != options.batch_sizes[0]:
            continue
        path, reference = folder / f"{'_'.join(map(str, task))}.npz", folder / f"{task.model}.npz"
        own.ask("maps", task, str(folder / f"{task.model}.npy"), classes[task.model], str(path))
        values = own.ask("compare", str(path), str(reference))
        rows = [
            {"work": name, "value": f"{value:.2g}" if value < 0.9 else f"{value:.6f}"}
            for name, value in values.items()
        ]
        weights = "its weights" if zoo.weights_path(zoo.find(task.model)) else "random weights"
        library = f"beside float32 on the CPU, {len(classes[task.model])} photos, {weights}"
        report.add("agreement", rows, model=task.model, precision=task.precision, library=library)


def _measure_files(options: Options, report: Report) -> None:
    """Measures the way from files for the models, the last first, in the last of the precisions."""
    if not options.images:
        raise InputError("Expected photos to read, --images.")
    fields = {"dtype": options.precisions[-1], "batch_size": max(options.batch_sizes), "rounds": 2}
    fields |= {"count": options.count or None}
    for model in reversed(options.models):
        if report.rows_of("files") and report.elapsed() > options.read_by * options.seconds:
            raise InputError(f"not read within {options.read_by * options.seconds:.0f} s: {model}")
        with contextlib.closing(Worker(FILES, usable_cores())) as worker:
            seconds = max(options.seconds - report.elapsed(), 0)
            rows = worker.ask("measure", options.images, {"model": model, **fields}, seconds=seconds)
        report.add("files", rows, model=model, precision=options.precisions[-1])


def _with_weights(options: Options) -> str:
    """Returns the first of the models that is not drawn at random."""
    for model in options.models:
        if zoo.weights_path(zoo.find(model)) is not None:
            return model
    commands = "; ".join(zoo.get_command(zoo.find(model)) for model in options.models)
    raise InputError(f"Expected the weights of one of {', '.join(options.models)}. They are got by: {commands}")

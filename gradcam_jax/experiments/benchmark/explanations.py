"""Times every kind of explanation here, and in the peers on request, and writes what was seen into the tree."""

import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import tqdm

from gradcam_jax import zoo
from gradcam_jax.errors import InputError, lookup
from gradcam_jax.experiments.benchmark.machine import processor
from gradcam_jax.experiments.benchmark.table import COLUMNS, markdown, timing_row, write_csv
from gradcam_jax.experiments.benchmark.turns import Timing, time_task
from gradcam_jax.experiments.benchmark.work import DEFAULT_WORK, WORK, Task
from gradcam_jax.experiments.benchmark.worker import OWN, Worker, workers
from gradcam_jax.experiments.reporting import Say
from gradcam_jax.pipeline.machine import usable_cores


@dataclass(frozen=True)
class Options:
    """What to time, by the names of ``scripts/benchmark.py``'s flags, which say what each means."""

    models: Sequence[str] = ("vgg16", "vgg19", "alexnet", "efficientnet_lite0")
    work: Sequence[str] = DEFAULT_WORK
    batch_sizes: Sequence[int] = (1, 8)
    precisions: Sequence[str] = ("float32",)
    peers: Sequence[str] = ()
    rounds: int = 7
    most_seconds: float = 60.0
    matrix: int = 4096
    out_path: str = "docs/benchmarks/benchmark.csv"


def run(options: Options, say: Say) -> list[Timing]:
    """Times, writes the CSV, reports the tables in Markdown, and returns what was timed."""
    models = [zoo.find(model).name for model in options.models]
    works = [work for work in options.work if lookup(WORK, work, "kind of work")]
    threads, timings = usable_cores(), []
    with workers([OWN, *options.peers], threads) as started:
        competitors, about = introduced(started, threads, say)
        own, *_ = competitors
        precisions = offered(own, models[0], options.precisions, say)
        peaks = own.ask("matrix_rates", options.matrix, precisions)
        about |= {f"matrix product ({precision})": f"{peak:.0f} GFLOP/s" for precision, peak in peaks.items()}
        tasks = [
            Task(model, work, size, precision)
            for model in models
            for size in options.batch_sizes
            for precision in precisions
            for work in works
        ]
        with tqdm.tqdm(tasks, disable=None) as bar:
            for task in bar:
                bar.set_description(f"{task.model} {task.work} {task.batch_size} {task.precision}")
                timings += time_task(competitors, task, options.rounds, options.most_seconds, say)
                # After every task: a run that is stopped has its results.
                write_csv(options.out_path, about, COLUMNS, (timing_row(timing, peaks) for timing in timings))
    say("\n".join(f"{key}: {value}" for key, value in about.items()) + "\n")
    say(markdown(timings, OWN))
    say(f"Written: {options.out_path}")
    return timings


def introduced(started: Sequence[Worker], threads: int, say: Say) -> tuple[list[Worker], dict[str, str]]:
    """Returns the competitors that are installed, and what is worth recording of them; says which are not.

    Raises:
        InputError: If this project's own process ended.
    """
    replies, competitors = {}, []
    for worker in started:
        try:
            replies[worker.name] = worker.ask("about")
            competitors.append(worker)
        except InputError as error:
            if worker.name == OWN:
                raise
            say(f"Without {worker.name}. {error}")
    return competitors, {
        "device": replies[OWN]["device"],
        "processor": f"{processor()}, {threads} threads for everyone",
        "versions": "; ".join(
            [f"Python {platform.python_version()}", *(reply["version"] for reply in replies.values())]
        ),
        "command": " ".join(["python", *sys.argv]),
    }


def offered(own: Worker, model: str, precisions: Sequence[str], say: Say) -> list[str]:
    """Returns those of the precisions that the device has; says which it has not.

    Raises:
        InputError: If it has none of them.
    """
    refused = own.ask("refused", model, list(precisions))
    for precision, reason in refused.items():
        say(f"Without {precision}. {reason}")
    if len(refused) == len(precisions):
        raise InputError(f"Expected a precision that this device has. {' '.join(refused.values())}")
    return [precision for precision in precisions if precision not in refused]

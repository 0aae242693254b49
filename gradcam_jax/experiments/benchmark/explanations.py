"""Times every kind of explanation here, and in the peers on request, and writes what was seen into the tree."""

import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import tqdm

from gradcam_jax import zoo
from gradcam_jax.errors import lookup
from gradcam_jax.experiments.benchmark.machine import processor
from gradcam_jax.experiments.benchmark.table import COLUMNS, markdown, timing_row, write_csv
from gradcam_jax.experiments.benchmark.turns import Timing, time_task
from gradcam_jax.experiments.benchmark.work import WORK, Task
from gradcam_jax.experiments.benchmark.worker import OWN, workers
from gradcam_jax.experiments.reporting import Say
from gradcam_jax.pipeline.machine import usable_cores


@dataclass(frozen=True)
class Options:
    """What to time, by the names of ``scripts/benchmark.py``'s flags, which say what each means."""

    models: Sequence[str] = ("vgg16", "vgg19", "alexnet", "efficientnet_lite0")
    work: Sequence[str] = tuple(WORK)
    batch_sizes: Sequence[int] = (1, 8)
    peers: Sequence[str] = ()
    rounds: int = 7
    most_seconds: float = 60.0
    out_path: str = "docs/benchmarks/benchmark.csv"


def run(options: Options, say: Say) -> list[Timing]:
    """Times, writes the CSV, reports the tables in Markdown, and returns what was timed."""
    tasks = [
        Task(zoo.find(model).name, work, size)
        for model in options.models
        for size in options.batch_sizes
        for work in options.work
        if lookup(WORK, work, "kind of work")
    ]
    threads, timings = usable_cores(), []
    with workers([OWN, *options.peers], threads) as competitors, tqdm.tqdm(tasks, disable=None) as bar:
        replies = {worker.name: worker.ask(about=1) for worker in competitors}
        peak = replies[OWN]["peak_gflops"]
        about = {
            "device": replies[OWN]["device"],
            "processor": f"{processor()}, {threads} threads for everyone",
            "versions": "; ".join(
                [f"Python {platform.python_version()}", *(s["version"] for s in replies.values())]
            ),
            "matrix product (float32)": f"{peak:.0f} GFLOP/s",
            "command": " ".join(["python", *sys.argv]),
        }
        for task in bar:
            bar.set_description(f"{task.model} {task.work} {task.batch_size}")
            timings += time_task(competitors, task, options.rounds, options.most_seconds)
            # After every task: a run that is stopped has its results.
            write_csv(options.out_path, about, COLUMNS, (timing_row(timing, peak) for timing in timings))
    say("\n".join(f"{key}: {value}" for key, value in about.items()) + "\n")
    say(markdown(timings, OWN))
    say(f"Written: {options.out_path}")
    return timings

"""Competitors take turns, each once, then each once more, so that all meet the same machine."""

import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.benchmark.work import Task, in_words
from gradcam_jax.experiments.benchmark.worker import Worker
from gradcam_jax.experiments.reporting import Say, silent

Name = TypeVar("Name", bound=Hashable)


def in_turns(
    calls: Mapping[Name, Callable[[], float]], rounds: int, *, most_seconds: float = math.inf, say: Say = silent
) -> dict[Name, list[float]]:
    """Measures every competitor once a round; after ``most_seconds`` no round begins, but two are always run.

    Example:
        >>> seconds = iter([1.0, 2.0, 3.0, 4.0])
        >>> in_turns({"a": lambda: next(seconds), "b": lambda: next(seconds)}, 2)
        {'a': [1.0, 3.0], 'b': [2.0, 4.0]}
    """
    results: dict[Name, list[float]] = {name: [] for name in calls}
    start = time.perf_counter()
    for number in range(rounds):
        if number >= 2 and time.perf_counter() - start > most_seconds:
            break
        say(f"round {number + 1} of {rounds}")
        for name, call in calls.items():
            results[name].append(call())
    return results


class Timing(NamedTuple):
    """One competitor's seconds a call for one task, of so many runs, and the facts that it gave beforehand."""

    name: str
    task: Task
    median: float
    low: float
    high: float
    runs: int
    facts: Mapping[str, float]


def time_task(
    competitors: Sequence[Worker], task: Task, rounds: int, most_seconds: float, say: Say = silent
) -> list[Timing]:
    """Times a task in the process of every competitor that does it, in turns, after a call that is not timed.

    Says who failed, for lack of memory for example, and why; who does not do such work is passed over.
    """
    facts = {worker.name: _prepare(worker, task) for worker in competitors}
    for name, reply in facts.items():
        if "failed" in reply:
            say(f"{name}, {in_words(task)}: {reply['failed']}")
    calls = {
        worker.name: lambda worker=worker: worker.ask("run")["seconds"]
        for worker in competitors
        if not {"unsupported", "failed"} & facts[worker.name].keys()
    }
    timings = []
    for name, seconds in in_turns(calls, rounds, most_seconds=most_seconds).items():
        low, median, high = (float(value) for value in np.quantile(seconds, (0.25, 0.5, 0.75)))
        timings.append(Timing(name, task, median, low, high, len(seconds), facts[name]))
    return timings


def _prepare(worker: Worker, task: Task) -> dict[str, Any]:
    try:
        return worker.ask("prepare", *task)
    except InputError as error:  # its process ended
        return {"failed": str(error)}

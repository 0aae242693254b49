"""Competitors take turns, each once, then each once more, so that all meet the same machine."""

import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from gradcam_jax.experiments.benchmark.work import Task
from gradcam_jax.experiments.benchmark.worker import Worker
from gradcam_jax.experiments.reporting import Say, silent

Name = TypeVar("Name", bound=Hashable)


def in_turns(
    calls: Mapping[Name, Callable[[], float]], rounds: int, *, most_seconds: float = math.inf, say: Say = silent
) -> dict[Name, list[float]]:
    """Measures in rounds, every competitor once a round.

    Args:
        calls: Competitor -> a function that does the work once and returns what was measured.
        rounds: How many.
        most_seconds: No further round is begun after this time, but two are always run.
        say: Told which round begins.

    Returns:
        Competitor -> what was measured in each round.

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
    """One competitor's times for one task.

    Attributes:
        name: The competitor.
        task: The task.
        median: Seconds of one call.
        low: The lower quartile.
        high: The upper quartile.
        runs: How many calls were timed.
        facts: What the competitor said of the task beforehand.
    """

    name: str
    task: Task
    median: float
    low: float
    high: float
    runs: int
    facts: Mapping[str, float]


def time_task(competitors: Sequence[Worker], task: Task, rounds: int, most_seconds: float) -> list[Timing]:
    """Times a task in every competitor's process, in turns.

    Args:
        competitors: The processes; one that does not do this task is left out.
        task: The task.
        rounds: Calls timed of each, after one that is not.
        most_seconds: As for :func:`in_turns`.

    Returns:
        A :class:`Timing` for each that does the task.
    """
    facts = {worker.name: worker.ask(prepare=list(task)) for worker in competitors}
    calls = {
        worker.name: lambda worker=worker: worker.ask(run=1)["seconds"]
        for worker in competitors
        if "unsupported" not in facts[worker.name]
    }
    timings = []
    for name, seconds in in_turns(calls, rounds, most_seconds=most_seconds).items():
        low, median, high = (float(value) for value in np.quantile(seconds, (0.25, 0.5, 0.75)))
        timings.append(Timing(name, task, median, low, high, len(seconds), facts[name]))
    return timings

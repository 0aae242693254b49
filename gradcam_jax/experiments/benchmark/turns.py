"""The parent's end: starts the competitors' processes, gives them the same task, and lets them take turns."""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.benchmark.work import Task


class Worker:
    """A competitor's process (see :mod:`gradcam_jax.experiments.benchmark.worker`)."""

    def __init__(self, name: str, threads: int) -> None:
        command = [sys.executable, "-m", "gradcam_jax.experiments.benchmark.worker", name, str(threads)]
        self.name = name
        # Not a pipe: one that nobody reads would fill up.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Sends one request and waits for its answer.

        Raises:
            InputError: If the process ended; the message ends with its last words.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it ended: its last words say why
            print(json.dumps(request), file=self._process.stdin, flush=True)
        reply = self._process.stdout.readline()
        if not reply:
            self._process.wait()
            self._errors.seek(0)
            words = self._errors.read().strip().splitlines()[-3:]
            raise InputError(f"The process of {self.name} ended: {' | '.join(words)}")
        return json.loads(reply)

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()


@contextlib.contextmanager
def workers(names: Sequence[str], threads: int) -> Iterator[list[Worker]]:
    """Starts a process for each name; ends them all on leaving."""
    started: list[Worker] = []
    try:
        for name in names:
            started.append(Worker(name, threads))
        yield started
    finally:
        for worker in started:
            worker.close()


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
    """Times a task in turns: every competitor once, then every one again, so that all meet the same machine.

    Args:
        competitors: The processes; one that does not do this task is left out.
        task: The task.
        rounds: Calls timed of each, after one that is not.
        most_seconds: No further round is begun after this time, but two are always run.

    Returns:
        A :class:`Timing` for each that does the task.
    """
    ready: dict[str, tuple[Worker, dict[str, float]]] = {}
    for worker in competitors:
        facts = worker.ask(prepare=list(task))
        if "unsupported" not in facts:
            ready[worker.name] = worker, facts
    seconds: dict[str, list[float]] = {name: [] for name in ready}
    start = time.perf_counter()
    for turn in range(rounds):
        if turn >= 2 and time.perf_counter() - start > most_seconds:
            break
        for name, (worker, _) in ready.items():
            seconds[name].append(worker.ask(run=1)["seconds"])
    return [_timing(name, task, seconds[name], facts) for name, (_, facts) in ready.items()]


def _timing(name: str, task: Task, seconds: Sequence[float], facts: Mapping[str, float]) -> Timing:
    low, median, high = (float(value) for value in np.quantile(seconds, (0.25, 0.5, 0.75)))
    return Timing(name, task, median, low, high, len(seconds), facts)

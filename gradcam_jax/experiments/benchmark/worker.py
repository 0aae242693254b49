"""One competitor's process: reads requests as lines of JSON, answers each with one line.

``{"about": 1}`` -> versions and device; ``{"prepare": [model, work, batch size]}`` -> facts, or ``unsupported``;
``{"run": 1}`` -> the seconds of one run.
Started as ``python -m gradcam_jax.experiments.benchmark.worker NAME THREADS``.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from gradcam_jax.experiments.benchmark.work import Prepared, Task, UnsupportedError

OWN = "gradcam_jax"
"""This project's name among the competitors."""


class Side(Protocol):
    """What a competitor can do."""

    def about(self) -> dict[str, Any]:
        """Returns what is worth recording of it."""
        ...

    def prepare(self, task: Task) -> Prepared:
        """Makes a task ready to run, or raises :class:`UnsupportedError`."""
        ...


def answer(side: Side, requests: Iterable[str]) -> Iterator[str]:
    """Answers requests, one line for each.

    Args:
        side: The competitor.
        requests: Lines of JSON.

    Yields:
        Lines of JSON.
    """
    prepared: Prepared | None = None
    for line in requests:
        request = json.loads(line)
        if "about" in request:
            reply = side.about()
        elif "prepare" in request:
            prepared = None  # what the last task held is let go first
            try:
                prepared = side.prepare(Task(*request["prepare"]))
                prepared.run()  # the first run is the slowest; it is not counted
                reply = prepared.facts
            except UnsupportedError as error:
                reply = {"unsupported": str(error)}
        else:
            assert prepared is not None, "run before prepare"
            start = time.perf_counter()
            result = prepared.run()
            reply = {"seconds": time.perf_counter() - start}
            del result
        yield json.dumps(reply)


def main() -> None:
    """Answers standard input until it ends. What libraries print goes to standard error."""
    name, threads = sys.argv[1], int(sys.argv[2])
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if name == OWN:
        from gradcam_jax.experiments.benchmark.own import OwnSide

        side: Side = OwnSide()
    else:
        from gradcam_jax.experiments.benchmark.peers import TorchSide

        side = TorchSide(name, threads)
    for reply in answer(side, sys.stdin):
        print(reply, file=replies, flush=True)


if __name__ == "__main__":
    main()

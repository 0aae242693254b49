"""One competitor's process, and its end here: requests and answers are lines of JSON.

``{"prepare": [model, work, batch size, precision]}`` -> facts, or ``unsupported``, or ``failed``;
``{"run": []}`` -> the seconds of one run; ``{"about": []}`` and the like -> what the method of that name returns.
The process is started as ``python -m gradcam_jax.experiments.benchmark.worker NAME THREADS``.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.benchmark.work import Prepared, Task, UnsupportedError

OWN = "gradcam_jax"
"""This project's name among the competitors."""

FILES = "files"
"""The name of the process that measures the way from files, which is no competitor."""


def answer(side: Any, requests: Iterable[str]) -> Iterator[str]:
    """Answers requests, lines of JSON, with one line each."""
    prepared: Prepared | None = None
    for line in requests:
        ((name, arguments),) = json.loads(line).items()
        if name == "prepare":
            prepared = None  # what the last task held is let go first
            try:
                prepared = cast(Prepared, side.prepare(Task(*arguments)))
                prepared.run()  # the first run is the slowest; it is not counted
                reply = prepared.facts
            except UnsupportedError as error:
                reply = {"unsupported": str(error)}
            except Exception as error:  # one task of many, and it is recorded
                reply = {"failed": f"{type(error).__name__}: {error}"[:300]}
        elif name != "run":
            reply = getattr(side, name)(*arguments)
        else:
            assert prepared is not None, "run before prepare"
            start = time.perf_counter()
            result = prepared.run()
            reply = {"seconds": time.perf_counter() - start}
            del result
        yield json.dumps(reply)


class Worker:
    """A competitor's process, seen from here."""

    def __init__(self, name: str, threads: int, environment: Mapping[str, str] | None = None) -> None:
        command = [sys.executable, "-m", __name__, name, str(threads)]
        self.name = name
        # JAX would reserve three quarters of a GPU's memory in every process.
        environment = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"} | dict(environment or {})
        # Not a pipe: one that nobody reads would fill up.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=os.environ | environment,
        )

    def ask(self, name: str, *arguments: Any, seconds: float | None = None) -> Any:
        """Sends one request and waits for its answer.

        Raises:
            InputError: If the process ended, with its last words, or was ended here after so many seconds.
        """
        if seconds is None:
            return self._ask({name: arguments})
        timer = threading.Timer(seconds, self._process.kill)
        timer.start()
        try:
            return self._ask({name: arguments})
        finally:
            timer.cancel()

    def _ask(self, request: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it ended: its last words say why
            print(json.dumps(request), file=self._process.stdin, flush=True)
        reply = self._process.stdout.readline()
        if not reply:
            self._process.wait()
            self._errors.seek(0)
            words = self._errors.read().strip().splitlines()[-3:]
            raise InputError(f"The process of {self.name} ended: {' | '.join(words) or 'it was stopped'}")
        return json.loads(reply)

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()


@contextlib.contextmanager
def workers(names: Sequence[str], threads: int) -> Iterator[list[Worker]]:
    """Starts a process for each name; ends them all on leaving."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(Worker(name, threads))) for name in names]


def _main() -> None:
    """Answers standard input until it ends. What libraries print goes to standard error."""
    name, threads = sys.argv[1], int(sys.argv[2])
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    side: Any
    if name == OWN:
        from gradcam_jax.experiments.benchmark.own import OwnSide

        side = OwnSide()
    elif name == FILES:
        from gradcam_jax.experiments.benchmark.files_side import FilesSide

        side = FilesSide()
    else:
        from gradcam_jax.experiments.benchmark.peers import TorchSide

        side = TorchSide(name, threads)
    for reply in answer(side, sys.stdin):
        print(reply, file=replies, flush=True)


if __name__ == "__main__":
    _main()

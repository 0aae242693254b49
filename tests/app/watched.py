"""A command that runs on a simulated Ray cluster, whose workers are found, measured and killed from outside."""

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from tests.pipeline.small_task import children


class Watched:
    """A command, and the nodes whose workers do its parts.

    Attributes:
        nodes: Of a ``ray.cluster_utils.Cluster``.
        megabytes: What the command and the largest of its workers took at their peaks, as far as it was looked at.
    """

    def __init__(self, command, nodes, until, **options):
        """Starts the command; whatever is waited for fails at the time ``until``, of the monotonic clock."""
        self.nodes, self._until = nodes, until
        self.megabytes = {"command": 0.0, "worker": 0.0}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)

    def loaded_workers(self, *nodes):
        """Returns the process ids of workers, of some nodes or all, whose model is loaded."""
        self._measure("command", self.process.pid)
        at_work = []
        for node in nodes or self.nodes:
            (raylet,) = node.all_processes["raylet"]
            for worker in children(raylet.process.pid, b"ray::PhotoWorker"):
                self._measure("worker", worker)
                at_work += [worker] * bool(children(worker))
        return at_work

    def wait_for(self, condition, *, ended=False):
        """Waits until a condition holds, and returns its value; the command must not end before, unless it may."""
        while not (value := condition()):
            assert time.monotonic() < self._until, "out of time"
            assert ended or self.process.poll() is None, "the command ended too early"
            time.sleep(0.1)
        return value

    def kill_workers(self, times, draw):
        """Kills workers one after the other, each some time after it was seen, so nearly always at a part."""
        for _ in range(times):
            worker = draw.choice(self.wait_for(self.loaded_workers))
            time.sleep(draw.uniform(0, 0.6))
            os.kill(worker, signal.SIGKILL)
            self.wait_for(lambda worker=worker: not Path(f"/proc/{worker}").exists())

    def ended(self):
        """Returns whether the command ended."""
        self.loaded_workers()
        return self.process.poll() is not None

    def _measure(self, what, process):
        with contextlib.suppress(OSError):
            peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
            self.megabytes[what] = max(self.megabytes[what], int(peak[1]) / 1024 if peak else 0.0)

"""Parts of a run on the machines of a Ray cluster: workers take them one after the other, and die without loss.

A worker is a Ray actor that holds the model on its device. One that dies, for whatever reason, is replaced where
there is room, and its part is done again; a part that takes three workers with it is given up and named. Workers
follow the cluster's size while the run goes on. Ray Data would do the same with less code but for one thing: it
tries a task whose workers die without end.
"""

import collections
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from gradcam_jax.errors import InputError
from gradcam_jax.pipeline.parts import Part
from gradcam_jax.pipeline.progress import Progress

TRIES = 3
_PERIOD = 1.0  # seconds between looks at the cluster and at the workers' progress
_ACCELERATORS = "GPU", "TPU"


class Worker(Protocol):
    """What an actor does; its constructor loads the model."""

    def ready(self) -> tuple[str, Any]:
        """Loads the model; returns the id of the node that it runs on, and what it computes."""
        ...

    def explain(self, part: Part) -> Progress:
        """Explains the images of a part that are not done yet, and writes its manifest."""
        ...

    def progress(self) -> Progress:
        """Returns the progress of the part that is being explained, at any time."""
        ...


class Share(NamedTuple):
    """What one worker takes of its node, as Ray's options of an actor."""

    num_cpus: float
    num_gpus: float = 0
    resources: dict[str, float] | None = None

    def options(self) -> dict[str, Any]:
        """Returns what Ray calls it."""
        return {name: value for name, value in self._asdict().items() if value}


class Outcome(NamedTuple):
    """What became of the parts.

    Attributes:
        done: Each part that was finished, with its progress and the node that did it.
        aside: Each part that was given up, with the reason.
    """

    done: list[tuple[Part, Progress, str]]
    aside: list[tuple[Part, str]]


def import_ray() -> Any:
    """Returns Ray.

    Raises:
        InputError: If it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError("--ray needs Ray on every machine:  pip install ray universal-pathlib") from error
    return ray


def share_of_node(nodes: Sequence[dict[str, Any]]) -> Share:
    """Returns what a worker takes: one accelerator with its share of the cores, or a node's cores without any.

    Args:
        nodes: What ``ray.nodes()`` says.

    Raises:
        InputError: If no node has a core.
    """
    alive = [node["Resources"] for node in nodes if node["Alive"] and node["Resources"].get("CPU")]
    if not alive:
        raise InputError("No machine of the Ray cluster has a core for this run.")
    for name in _ACCELERATORS:
        having = [resources for resources in alive if resources.get(name)]
        if having:
            cores = min(resources["CPU"] // resources[name] for resources in having)
            share = Share(max(cores, 1))
            return share._replace(num_gpus=1) if name == "GPU" else share._replace(resources={name: 1})
    return Share(min(resources["CPU"] for resources in alive))


def most_workers(nodes: Sequence[dict[str, Any]], share: Share) -> int:
    """Returns how many workers the cluster has room for, whatever else runs there."""
    wanted = {"CPU": share.num_cpus, "GPU": share.num_gpus, **(share.resources or {})}
    wanted = {name: amount for name, amount in wanted.items() if amount}
    return sum(
        int(min(node["Resources"].get(name, 0) // amount for name, amount in wanted.items()))
        for node in nodes
        if node["Alive"]
    )


def share_parts(
    parts: Sequence[Part],
    start: Callable[[], Any],
    most: Callable[[], int],
    *,
    welcome: Callable[[Any], None] = lambda _: None,
    report: Callable[[Outcome, Sequence[tuple[str, Progress]]], None] = lambda *_: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Lets workers do parts until all are done or given up.

    Args:
        parts: What is to be done.
        start: Starts a worker, a Ray actor of the protocol :class:`Worker`, and returns its handle at once.
        most: Returns how many workers there may be now.
        welcome: Takes what a new worker says it computes, before it gets a part; raises to refuse it.
        report: Called now and then with what is done, and the node and progress of each part that is not.
        stopped: When it returns true, no more parts are begun.

    Returns:
        What became of the parts.

    Raises:
        InputError: What a worker raises, for example since results cannot be written.
    """
    return _Sharing(list(parts), start, most, welcome).run(report, stopped)


class _Sharing:
    """The parts that wait, the workers that start, are idle or are busy, and how often each part was tried."""

    def __init__(
        self,
        parts: list[Part],
        start: Callable[[], Any],
        most: Callable[[], int],
        welcome: Callable[[Any], None],
    ):
        self._ray = import_ray()
        self._waiting = collections.deque(parts)
        self._start, self._most, self._welcome = start, most, welcome
        self._starting: dict[Any, Any] = {}  # the promise of being ready -> worker
        self._idle: list[tuple[Any, str]] = []
        self._busy: dict[Any, tuple[Any, str, Part]] = {}  # the promise of a part's progress -> who does it
        self._deaths: collections.Counter[int] = collections.Counter()
        self._failed_starts = 0
        self._outcome = Outcome([], [])

    def run(self, report: Callable[..., None], stopped: Callable[[], bool]) -> Outcome:
        """Does what :func:`share_parts` says."""
        looked = 0.0
        while self._busy or (self._waiting and not stopped()):
            if time.monotonic() - looked > _PERIOD:
                self._follow_the_cluster()
                report(self._outcome, self._under_way())
                looked = time.monotonic()
            while self._idle and self._waiting and not stopped():
                worker, node = self._idle.pop()
                part = self._waiting.popleft()
                self._busy[worker.explain.remote(part)] = worker, node, part
            promises = [*self._starting, *self._busy]
            ready, _ = self._ray.wait(promises, timeout=_PERIOD) if promises else ([], [])
            for promise in ready:
                self._started(promise) if promise in self._starting else self._ended(promise)
        report(self._outcome, [])
        for worker in [*self._starting.values(), *(worker for worker, _ in self._idle)]:
            self._ray.kill(worker)
        return self._outcome

    def _follow_the_cluster(self) -> None:
        """Starts as many workers as there is room and work for."""
        wanted = min(self._most(), len(self._waiting) + len(self._busy))
        for _ in range(wanted - len(self._starting) - len(self._idle) - len(self._busy)):
            worker = self._start()
            self._starting[worker.ready.remote()] = worker

    def _under_way(self) -> list[tuple[str, Progress]]:
        """Asks the busy workers how far they are; those that do not answer at once are left out."""
        asked = {worker.progress.remote(): node for worker, node, _ in self._busy.values()}
        answered, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=0.2) if asked else ([], [])
        progress = []
        for promise in answered:
            try:
                progress.append((asked[promise], self._ray.get(promise)))
            except self._ray.exceptions.RayError:
                continue  # its part's own promise says so too
        return progress

    def _started(self, promise: Any) -> None:
        worker = self._starting.pop(promise)
        try:
            node, about = self._ray.get(promise)
            self._welcome(about)
            self._idle.append((worker, node))
            self._failed_starts = 0
        except self._ray.exceptions.RayTaskError as error:
            raise _cause(error) from error
        except self._ray.exceptions.RayError as error:
            self._failed_starts += 1
            if self._failed_starts >= TRIES:
                raise InputError(f"{TRIES} workers died while they started. The last: {_line(error)}") from error

    def _ended(self, promise: Any) -> None:
        worker, node, part = self._busy.pop(promise)
        try:
            progress = self._ray.get(promise)
        except self._ray.exceptions.RayTaskError as error:
            raise _cause(error) from error
        except self._ray.exceptions.RayError as error:
            self._tried_in_vain(part, node, error)
            return
        self._outcome.done.append((part, progress, node))
        self._idle.append((worker, node))

    def _tried_in_vain(self, part: Part, node: str, error: Exception) -> None:
        """Lets a part wait again; a worker whose node is gone is not the part's fault."""
        alive = any(one["NodeID"] == node and one["Alive"] for one in self._ray.nodes())
        self._deaths[part.number] += alive
        if self._deaths[part.number] < TRIES:
            self._waiting.append(part)
        else:
            self._outcome.aside.append((part, f"{TRIES} workers died with it. The last: {_line(error)}"))
        self._follow_the_cluster()  # another worker starts now, not when it is time to look again


def _cause(error: Any) -> Exception:
    """Returns what a worker raised, as it raised it."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, Exception) else error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]

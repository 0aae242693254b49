"""A thread that works on one thing after the other, between bounded queues."""

import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Thing = TypeVar("Thing")


class Stage(Generic[Thing]):
    """Runs in a thread while it is entered as a context; what goes wrong in it is raised to whoever hands it more.

    Example:
        >>> squares = []
        >>> with Stage("square", lambda number: squares.append(number**2)) as stage:
        ...     for number in range(4):
        ...         stage.take(number)
        >>> squares
        [0, 1, 4, 9]
    """

    def __init__(
        self, name: str, work: Callable[[Thing], None], *, drop: Callable[[Thing], None] = lambda _: None
    ) -> None:
        """Starts nothing yet.

        Args:
            name: The thread's.
            work: What is done with each thing.
            drop: What is done instead once something went wrong.
        """
        self._work, self._drop = work, drop
        self._things: queue.Queue[Any] = queue.Queue(maxsize=1)
        self._thread = threading.Thread(target=self._work_through, name=name, daemon=True)
        self._error: BaseException | None = None

    def __enter__(self) -> "Stage[Thing]":
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Waits until everything that was handed over is done."""
        self._things.put(None)
        self._thread.join()
        if self._error is not None and kind is None:
            raise self._error

    def take(self, thing: Thing) -> None:
        """Hands something over; waits while another thing waits."""
        self._things.put(thing)
        if self._error is not None:
            raise self._error

    def _work_through(self) -> None:
        while (thing := self._things.get()) is not None:
            if self._error is not None:
                self._drop(thing)
                continue
            try:
                self._work(thing)
            except BaseException as error:
                self._error = error

"""Work in threads on a stream that may be endless: a little ahead, in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Thing = TypeVar("Thing")
Result = TypeVar("Result")

_AHEAD = 64


def in_order(threads: Executor, function: Callable[[Thing], Result], things: Iterable[Thing]) -> Iterator[Result]:
    """Yields what threads make of each thing, in order; at most 64 are begun and not yet asked for.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> with ThreadPoolExecutor(2) as threads:
        ...     list(in_order(threads, str, range(3)))
        ['0', '1', '2']
    """
    begun: deque[Future[Result]] = deque()
    for thing in things:
        begun.append(threads.submit(function, thing))
        if len(begun) > _AHEAD:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()

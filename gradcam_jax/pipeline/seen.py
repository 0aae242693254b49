"""Which of millions of numbers were there before, at eight bytes each."""

import numpy as np

_RECENT = 2**14


class Seen:
    """A set of 64-bit numbers that only grows: the newest in a Python set, all others in sorted arrays.

    An array is merged with the one before it when it is as long, so that there are few of them.

    Example:
        >>> seen = Seen()
        >>> [seen.add(number) for number in (3, 5, 3)]
        [True, True, False]
    """

    def __init__(self, recent: int = _RECENT):
        """Takes the number of numbers from which the Python set becomes an array."""
        self._recent: set[int] = set()
        self._most = recent
        self._arrays: list[np.ndarray] = []

    def add(self, number: int) -> bool:
        """Adds a number, 0 to 2^64 - 1; returns whether it is new."""
        if number in self._recent or any(_holds(array, number) for array in self._arrays):
            return False
        self._recent.add(number)
        if len(self._recent) == self._most:
            array = np.sort(np.fromiter(self._recent, np.uint64, self._most))
            while self._arrays and len(self._arrays[-1]) <= len(array):
                array = np.sort(np.concatenate([self._arrays.pop(), array]))
            self._arrays.append(array)
            self._recent = set()
        return True


def _holds(array: np.ndarray, number: int) -> bool:
    wanted = np.uint64(number)
    place = int(np.searchsorted(array, wanted))
    return place < len(array) and array[place] == wanted

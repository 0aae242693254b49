"""Many rows through a function that takes batches of one shape, so that it is compiled once."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from gradcam_jax.errors import InputError


def padded(rows: np.ndarray, batch_size: int) -> np.ndarray:
    """Returns a batch of a fixed size: the rows, then the last one again as often as needed.

    Example:
        >>> padded(np.array([1, 2, 3]), 5).tolist()
        [1, 2, 3, 3, 3]
    """
    return np.take(rows, np.arange(batch_size), axis=0, mode="clip")


def in_batches(function: Callable[..., Any], *arrays: np.ndarray, batch_size: int) -> Any:
    """Runs a function over the rows of arrays, the last batch padded with its last row.

    What is read from disk row by row need not be loaded whole: pass the rows' indices, index inside the function.

    Args:
        function: From one batch of every array to an array, or a tree of them, with the same leading axis; usually
            compiled by the caller.
        *arrays: Numpy arrays of as many rows each.
        batch_size: Rows at once.

    Returns:
        What the function returns, numpy arrays with a row for each of the arrays' rows.

    Raises:
        InputError: If there are no rows.

    Example:
        >>> in_batches(lambda x, y: {"sum": x + y}, np.arange(5), np.arange(5), batch_size=2)
        {'sum': array([0, 2, 4, 6, 8])}
    """
    count = len(arrays[0])
    if not count:
        raise InputError("Expected at least one row, got none.")
    parts = []
    for start in range(0, count, batch_size):
        batch = [padded(array[start : start + batch_size], batch_size) for array in arrays]
        outputs = function(*batch)
        parts.append(jax.tree.map(lambda output, left=count - start: np.asarray(output)[:left], outputs))
    return jax.tree.map(lambda *rows: np.concatenate(rows), *parts)

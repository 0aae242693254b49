"""Batches of one shape: every row once, whatever the size, nothing compiled twice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.batches import in_batches, padded

ROWS = np.arange(21, dtype=np.float32).reshape(7, 3)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 50])
def test_every_row_comes_back_once_and_the_function_is_traced_once(batch_size):
    shapes = []

    @jax.jit
    def double(rows, index):
        shapes.append(rows.shape)
        return {"double": 2 * rows, "index": (index,)}

    outputs = in_batches(double, ROWS, np.arange(7), batch_size=batch_size)
    np.testing.assert_array_equal(outputs["double"], 2 * ROWS)
    np.testing.assert_array_equal(outputs["index"][0], np.arange(7))
    assert shapes == [(batch_size, 3)]


def test_a_batch_is_filled_up_with_its_last_row():
    np.testing.assert_array_equal(padded(ROWS[:2], 4), ROWS[[0, 1, 1, 1]])
    np.testing.assert_array_equal(padded(ROWS, 7), ROWS)


def test_no_rows_are_an_error():
    with pytest.raises(InputError, match="at least one row"):
        in_batches(jnp.sin, ROWS[:0], batch_size=2)

"""Transposed views in row-major order, piece by piece, against numpy's own copy."""

import numpy as np
import pytest

from gradcam_jax.conversion.row_major import row_major, row_major_pieces

VIEWS = {
    "matrix": np.arange(1500 * 130.0).reshape(130, 1500).T,
    "small matrix": np.arange(6.0).reshape(3, 2).T,
    "one row": np.arange(5.0).reshape(5, 1).T,
    "kernel": np.arange(70 * 30 * 9.0).reshape(70, 30, 3, 3).transpose(2, 3, 1, 0),
    "first after a flatten": np.arange(65 * 45 * 49.0).reshape(65, 45, 7, 7).transpose(2, 3, 1, 0),
    "more positions than a block": np.arange(3 * 2 * 40 * 30.0).reshape(3, 2, 40, 30).transpose(2, 3, 1, 0),
    "every other": np.arange(40.0).reshape(8, 5)[::2],
    "three axes": np.arange(24.0).reshape(2, 3, 4).T,
    "row-major": np.arange(24.0).reshape(2, 3, 4),
    "number": np.float32(3.0).reshape(()),
    "empty": np.empty((4, 0)).T,
}


@pytest.mark.parametrize("name", VIEWS)
def test_the_pieces_make_up_the_array(name):
    view = VIEWS[name]
    result, covered = np.empty(view.size), np.zeros(view.size, int)
    for first, piece in row_major_pieces(view):
        assert piece.flags.c_contiguous
        result[first : first + piece.size] = piece
        covered[first : first + piece.size] += 1
    assert (covered == 1).all()
    np.testing.assert_array_equal(result.reshape(view.shape), view)
    np.testing.assert_array_equal(row_major(view), view)
    assert row_major(view).flags.c_contiguous


def test_what_is_in_order_is_not_copied():
    assert row_major(VIEWS["row-major"]) is VIEWS["row-major"]

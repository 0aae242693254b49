"""The pointing game by hand."""

import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.evaluation.pointing import highest_point, inside_boxes, inside_over_outside, lies_in, points_at

CAM = np.array([[0.0, 0.0], [0.0, 2.0]])


def test_the_highest_point_is_the_centre_of_its_cell():
    assert highest_point(CAM) == (0.75, 0.75)


@pytest.mark.parametrize(
    ("box", "hit"), [((0.5, 0.5, 1, 1), True), ((0, 0, 0.7, 1), False), ((0.75, 0, 1, 1), True)]
)
def test_a_hit_is_inside_or_on_the_edge(box, hit):
    assert points_at(CAM, [(0, 0, 0.1, 0.1), box]) is hit


def test_a_map_without_evidence_points_nowhere():
    assert not points_at(-CAM, [(0, 0, 1, 1)])
    assert not points_at(np.zeros((2, 2)), [(0, 0, 1, 1)])


def test_no_boxes_no_hit():
    assert not lies_in((0.5, 0.5), [])


def test_positions_inside_boxes_that_overlap_count_once():
    boxes = [(0, 0, 0.5, 0.5), (0.25, 0.25, 0.75, 0.5)]
    np.testing.assert_array_equal(
        inside_boxes(boxes, (4, 4)), [[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    )
    assert not inside_boxes([], (2, 2)).any()


# Of a 4x4 map, the cells' centres lie at 1/8, 3/8, 5/8 and 7/8 along each side.
@pytest.mark.parametrize(
    ("box", "chance"),
    [
        ((0, 0, 1, 1), 1),
        ((0, 0, 0.5, 0.25), 2 / 16),
        ((0.15, 0.15, 0.35, 0.35), 0),
        ((0.125, 0, 0.375, 1), 8 / 16),
    ],
)
def test_a_random_map_hits_as_often_as_cells_are_centred_in_the_box(box, chance):
    assert inside_boxes([box], (4, 4)).mean() == chance


def test_inside_over_outside_is_one_for_a_flat_map():
    inside = np.zeros((4, 4), bool)
    inside[:2] = True
    assert inside_over_outside(np.ones((4, 4)), inside) == 1
    assert inside_over_outside(np.zeros((4, 4)), inside) == 1
    assert inside_over_outside(np.where(inside, 3.0, 1.0), inside) == 3
    assert inside_over_outside(np.array([[4.0, 0.0], [1.0, 1.0]]), np.array([[1, 1], [0, 0]])) == 2
    assert inside_over_outside(inside.astype(float), inside) == float("inf")
    with pytest.raises(InputError):
        inside_over_outside(np.ones((4, 4)), np.ones((4, 4), bool))

"""Boxes by hand: what the paper's localisation draws around a map, and when it is right."""

import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.evaluation.boxes import (
    NOWHERE,
    Truth,
    box_iou,
    foreground,
    inclusive_box,
    largest_segment,
    localisation_errors,
    map_box,
    mask_iou,
    on_photo,
    tight_box,
)

# Two segments, of 4 and of 3 pixels, that touch at a corner alone.
HEAT = np.array(
    [
        [9.0, 9.0, 0.0, 0.0],
        [9.0, 9.0, 0.0, 0.0],
        [0.0, 0.0, 9.0, 9.0],
        [0.0, 0.0, 9.0, 0.0],
    ]
)


@pytest.mark.parametrize(("connectivity", "box"), [(4, (0, 0, 0.5, 0.5)), (8, (0, 0, 1, 1))])
def test_the_largest_segment_depends_on_what_is_connected(connectivity, box):
    assert map_box(HEAT, connectivity=connectivity) == box


def test_fifteen_per_cent_of_the_maximum_belong_to_the_object_and_less_does_not():
    heat = np.array([[0.1499, 0.15, 1.0, 0.0]])
    assert map_box(heat) == (0.25, 0, 0.75, 1)
    assert map_box(100 * heat) == (0.25, 0, 0.75, 1)
    assert map_box(heat, share=0.2) == (0.5, 0, 0.75, 1)


@pytest.mark.parametrize(("share", "connectivity"), [(0, 8), (1.5, 8), (0.15, 6)])
def test_what_is_no_share_and_no_connectivity(share, connectivity):
    with pytest.raises(InputError, match="instead"):
        map_box(HEAT, share=share, connectivity=connectivity)


def test_the_trivial_limits_of_a_box():
    truth = np.zeros((8, 8))
    truth[2:6, 4:8] = 1
    box = (0.5, 0.25, 1, 0.75)
    assert map_box(truth) == box  # perfect
    assert map_box(np.ones((8, 8))) == (0, 0, 1, 1)  # uniform
    assert map_box(-truth) == NOWHERE  # nothing speaks for it
    assert map_box(1 - truth) == (0, 0, 1, 1)  # inverted
    assert box_iou(map_box(truth), box) == 1
    assert box_iou(map_box(np.ones((8, 8))), box) == 16 / 64
    assert box_iou(NOWHERE, box) == box_iou(NOWHERE, NOWHERE) == 0


def test_the_trivial_limits_of_a_mask():
    truth = np.zeros((4, 4), bool)
    truth[:2, :2] = True
    assert mask_iou(foreground(truth.astype(float)), truth) == 1
    assert mask_iou(foreground(np.ones((4, 4))), truth) == 4 / 16
    assert mask_iou(foreground(1.0 - truth), truth) == 0
    assert mask_iou(np.zeros((4, 4), bool), np.zeros((4, 4), bool)) == 0


def test_of_equal_segments_the_first_is_kept_and_nothing_is_no_segment():
    assert tight_box(largest_segment(np.array([[1, 0, 1]], bool))) == (0, 0, 1 / 3, 1)
    assert not largest_segment(np.zeros((2, 2), bool)).any()


def test_boxes_that_name_their_last_pixel_overlap_as_their_data_sets_count():
    # VOC's and ILSVRC's programs: widths are last - first + 1. These share columns 6 to 10: 5 of 15.
    one, other = (inclusive_box((first, 1), (last, 10), (20, 10)) for first, last in ((1, 10), (6, 15)))
    assert box_iou(one, other) == pytest.approx(5 / 15)


def test_a_box_of_a_crop_is_moved_to_the_photo():
    # The image shows the middle 200 of a photo 400 wide and 200 high.
    assert on_photo((0, 0, 1, 1), (100, 0, 300, 200), (200, 400)) == (0.25, 0, 0.75, 1)
    assert on_photo((0.5, 0.5, 0.75, 1), (0, 0, 400, 200), (200, 400)) == (0.5, 0.5, 0.75, 1)


HIT, MISS = (0, 0, 0.5, 0.5), (0.5, 0.5, 1, 1)


@pytest.mark.parametrize(
    ("predicted", "boxes", "errors"),
    [
        ([3, 1, 2, 4, 5], [HIT] * 5, (False, False)),
        ([1, 3, 2, 4, 5], [HIT] * 5, (True, False)),  # found at the second place
        ([3, 1, 2, 4, 5], [MISS] + [HIT] * 4, (True, True)),  # the right class elsewhere, the place by others
        ([1, 2, 4, 5, 6], [HIT] * 5, (True, True)),
        ([8, 3], [(0.5, 0.5, 1, 0.8), MISS], (False, False)),  # another object of the photo: IoU 0.6
        ([8, 3], [(0.5, 0.5, 1, 0.74), MISS], (True, True)),  # IoU 0.48
    ],
)
def test_the_localisation_error(predicted, boxes, errors):
    truths = [Truth(frozenset({3, 33}), [(0.9, 0.9, 1, 1), HIT]), Truth(frozenset({8}), [MISS])]
    assert localisation_errors(predicted, boxes, truths) == errors

"""Where a map lies on its photo, by hand."""

import jax.numpy as jnp
import numpy as np

from gradcam_jax.experiments.data.photos import Box, LabelledBox
from gradcam_jax.experiments.evaluators.measures import (
    MEASURES,
    Place,
    mask_of,
    peaks_of,
    place_on_photo,
    positive,
)


def test_the_peak_is_the_centre_of_the_highest_cell_and_nowhere_without_evidence():
    maps = jnp.stack([jnp.zeros((2, 4)).at[1, 3].set(2.0), jnp.zeros((2, 4))])
    np.testing.assert_allclose(peaks_of(maps), [[0.875, 0.75], [np.inf, np.inf]])


def test_gradients_count_by_their_largest_channel_and_maps_are_rectified():
    gradient = jnp.zeros((1, 1, 1, 2, 3)).at[0, 0, 0, 1].set(jnp.array([1.0, -3.0, 2.0]))
    assert positive(gradient).tolist() == [[[[0, 3]]]]
    assert positive(jnp.array([[[[-1.0, 2.0]]]])).tolist() == [[[[0, 2]]]]


def test_a_map_of_a_crop_covers_its_part_of_the_photo():
    placed = place_on_photo(np.ones((2, 2), np.float32), (1, 0, 3, 2), (2, 4))
    assert placed.tolist() == [[0, 1, 1, 0], [0, 1, 1, 0]]


def test_outlines_count_where_they_are_known_and_boxes_elsewhere():
    box = Box(0.0, 0.0, 0.5, 0.5)
    outlined = LabelledBox("dog", Box(0.5, 0.5, 1, 1), polygons=((0.5, 0.5, 0.99, 0.5, 0.5, 0.99),))
    mask = mask_of([LabelledBox("dog", box), outlined], (40, 40))
    assert mask[:20, :20].all()
    assert mask[21, 21]
    assert not mask[38, 38]
    assert 400 + 190 < mask.sum() < 400 + 230


def test_the_limits_of_what_is_measured_of_a_place():
    mask = np.zeros((40, 40), bool)
    mask[10:20, 10:20] = True
    boxes = [Box(0.25, 0.25, 0.5, 0.5)]
    perfect = Place(mask.astype(np.float32), (0.3, 0.3), mask, boxes)
    inverted = Place(1 - mask.astype(np.float32), (0.01, 0.9), mask, boxes)
    blank = Place(np.zeros((40, 40), np.float32), (np.inf, np.inf), mask, boxes)
    measured = {name: measure.of_place for name, measure in MEASURES.items() if measure.of_place}
    assert {name: of_place(perfect) for name, of_place in measured.items()} == dict.fromkeys(measured, 1.0)
    assert all(of_place(blank) == 0 for of_place in measured.values())
    assert {
        name: of_place(inverted) for name, of_place in measured.items() if name != "pointing_15"
    } == dict.fromkeys([name for name in measured if name != "pointing_15"], 0.0)

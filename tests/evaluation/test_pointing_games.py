"""The pointing games: TorchRay's with its tolerance, the paper's with its rejection, and the energy's."""

import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.evaluation.pointing import energy_inside, points_within, rejection_hits, rejection_threshold


def is_hit(mask, point, tolerance):
    """TorchRay's rule, pixel by pixel: any pixel of the mask at a squared distance under the tolerance's."""
    u, v = point
    return any(
        bool(mask[row, column]) and float(row - v) ** 2 + float(column - u) ** 2 < tolerance**2
        for row in range(mask.shape[0])
        for column in range(mask.shape[1])
    )


@pytest.mark.parametrize("tolerance", [1, 3, 15])
def test_the_rule_is_torchrays_on_random_masks(tolerance):
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(60):
        shape = tuple(rng.integers(8, 40, 2))
        mask = np.zeros(shape, bool)
        top, left = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        mask[top : top + rng.integers(1, 12), left : left + rng.integers(1, 12)] = True
        heatmap = rng.random(shape)
        row, column = np.unravel_index(np.argmax(heatmap), shape)
        expected = is_hit(mask, (column, row), tolerance)
        assert points_within(heatmap, mask, tolerance=tolerance) == expected
        outcomes.add(expected)
    assert outcomes == {True, False}


def test_a_distance_of_exactly_the_tolerance_is_a_miss():
    heatmap, mask = np.zeros((1, 40)), np.zeros((1, 40), bool)
    heatmap[0, 0], mask[0, 15] = 1, True
    assert not points_within(heatmap, mask)
    mask[0, 14] = True
    assert points_within(heatmap, mask)


def test_the_trivial_limits():
    mask = np.zeros((60, 60), bool)
    mask[:20, :20] = True
    perfect = mask.astype(float)
    assert points_within(perfect, mask)
    assert not points_within(perfect, np.zeros_like(mask))
    assert not points_within(np.zeros((60, 60)), mask)  # no evidence points nowhere
    inverted = 1 - perfect + np.linspace(0, 0.1, 3600).reshape(60, 60)
    assert not points_within(inverted, mask)
    assert (energy_inside(perfect, mask), energy_inside(1 - perfect, mask)) == (1, 0)
    assert energy_inside(np.ones((60, 60)), mask) == pytest.approx(400 / 3600)
    assert energy_inside(-perfect, mask) == 0


@pytest.mark.parametrize(("shape", "tolerance"), [((3, 3), 15), ((2, 2), 0)])
def test_what_cannot_be_played(shape, tolerance):
    with pytest.raises(InputError, match="instead"):
        points_within(np.ones(shape), np.ones((2, 2), bool), tolerance=tolerance)


# Of five predictions the first two are on the photo; the second one's map is highest beside it.
MAXIMA = np.array([8.0, 6.0, 5.0, 3.0, 1.0])
INSIDE = np.array([True, False, False, False, False])
PRESENT = np.array([True, True, False, False, False])


@pytest.mark.parametrize(
    ("threshold", "hits"),
    [(0, [1, 0, 0, 0, 0]), (4, [1, 0, 0, 1, 1]), (7, [1, 0, 1, 1, 1]), (9, [0, 0, 1, 1, 1])],
)
def test_a_class_that_is_not_there_is_a_hit_if_its_map_is_rejected(threshold, hits):
    np.testing.assert_array_equal(rejection_hits(MAXIMA, INSIDE, PRESENT, threshold), np.array(hits, bool))


def test_the_best_threshold_is_the_lowest_with_the_most_hits():
    threshold = rejection_threshold(MAXIMA, INSIDE, PRESENT)
    assert threshold == 6
    assert rejection_hits(MAXIMA, INSIDE, PRESENT, threshold).sum() == 4
    rng = np.random.default_rng(1)
    maxima, present = rng.integers(0, 9, 50).astype(float), rng.random(50) < 0.5
    inside = present & (rng.random(50) < 0.5)
    best = max(rejection_hits(maxima, inside, present, value).sum() for value in np.append(maxima, np.inf))
    found = rejection_threshold(maxima, inside, present)
    assert rejection_hits(maxima, inside, present, found).sum() == best

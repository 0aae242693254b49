"""The two resize rules and the normalisations: hand-computed cases, and the corners."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.attribution.resize import (
    normalize_max,
    normalize_min_max,
    normalize_symmetric,
    resize_corner_aligned,
    resize_half_pixel,
)
from gradcam_jax.attribution.resize_matrices import corner_aligned_matrix, half_pixel_matrix
from tests.comparison import assert_close


def torch7_by_loops(samples, target):
    """The original's one-axis resize as its C code runs it, sample by sample."""
    source = len(samples)
    if target == source:
        return list(samples)
    if target > source:
        scale = np.float32((source - 1) / (target - 1))
        resized = []
        for index in range(target - 1):
            position = np.float32(index) * scale
            lower = int(position)
            fraction = position - lower
            after = samples[lower + 1] if lower + 1 < source else samples[lower]
            resized.append((1 - fraction) * samples[lower] + fraction * after)
        return [*resized, samples[-1]]
    resized = []
    for index in range(target):
        first, last = index * source / target, (index + 1) * source / target
        weights = [max(min(last, sample + 1) - max(first, sample), 0) for sample in range(source)]
        resized.append(float(np.dot(weights, samples) / sum(weights)))
    return resized


LENGTHS = [(5, 8), (8, 5), (14, 224), (13, 227), (640, 224), (1, 4), (4, 1), (7, 7)]


@pytest.mark.parametrize(("source", "target"), LENGTHS)
def test_corner_aligned_equals_the_originals_loop(source, target):
    samples = np.random.default_rng(source).standard_normal(source)
    assert_close(corner_aligned_matrix(source, target) @ samples, torch7_by_loops(samples, target), 2e-6)


def test_enlarging_keeps_the_last_sample_exactly():
    matrix = corner_aligned_matrix(14, 224)
    np.testing.assert_array_equal(matrix[-1], np.eye(14)[-1])
    np.testing.assert_array_equal(matrix[0], np.eye(14)[0])


@pytest.mark.parametrize("matrix", [corner_aligned_matrix, half_pixel_matrix])
@pytest.mark.parametrize(("source", "target"), [(5, 8), (8, 5), (1, 3), (3, 1), (1440, 224)])
def test_rows_sum_to_one(matrix, source, target):
    rows = matrix(source, target).sum(axis=1)
    np.testing.assert_allclose(rows, np.ones(target), atol=1e-6)


@pytest.mark.parametrize(("source", "target"), [(13, 224), (7, 10), (1, 5)])
def test_half_pixel_equals_jax_when_enlarging(source, target):
    maps = np.random.default_rng(0).standard_normal((source, source)).astype(np.float32)
    expected = jax.image.resize(maps, (target, target + 3), "bilinear")
    assert_close(resize_half_pixel(jnp.asarray(maps), (target, target + 3)), expected, 2e-6)


def test_the_two_rules_differ():
    maps = jnp.asarray(np.random.default_rng(0).standard_normal((14, 14)), jnp.float32)
    difference = resize_corner_aligned(maps, (224, 224)) - resize_half_pixel(maps, (224, 224))
    assert float(jnp.abs(difference).max()) > 0.2


def test_leading_axes_and_sides_are_kept_apart():
    maps = jnp.asarray(np.random.default_rng(0).standard_normal((2, 3, 4, 5)), jnp.float32)
    resized = resize_corner_aligned(maps, (8, 3))
    assert resized.shape == (2, 3, 8, 3)
    assert_close(resized[1, 2], resize_corner_aligned(maps[1, 2], (8, 3)), 1e-6)


@pytest.mark.parametrize("lengths", [(0, 4), (4, 0)])
def test_empty_axes_are_an_error(lengths):
    with pytest.raises(ValueError, match="at least 1"):
        corner_aligned_matrix(*lengths)


@pytest.mark.parametrize("normalize", [normalize_max, normalize_min_max, normalize_symmetric])
def test_constants_and_zeros_never_become_nan(normalize):
    for values in (jnp.zeros((2, 2)), -jnp.ones((2, 2)), jnp.ones((2, 2))):
        assert np.isfinite(normalize(values)).all()
        assert np.isfinite(jax.grad(lambda x: normalize(x).sum())(values)).all()


def test_an_all_negative_map_is_not_stretched_into_noise():
    np.testing.assert_array_equal(normalize_max(jnp.array([-3.0, -1.0])), [0.0, 0.0])
    np.testing.assert_array_equal(normalize_symmetric(jnp.array([-4.0, -1.0])), [-1.0, -0.25])

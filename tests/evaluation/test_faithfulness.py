"""Deletion, insertion, average drop, occlusion and ROAD on a score whose right answers are known by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from gradcam_jax.errors import InputError
from gradcam_jax.evaluation.confidence import confidence_change
from gradcam_jax.evaluation.curves import deletion, insertion
from gradcam_jax.evaluation.imputation import imputed, road
from gradcam_jax.evaluation.occlusion import occlusion_correlation, occlusion_drops, patch_means
from gradcam_jax.evaluation.perturbed import blurred, scores_of
from tests.comparison import assert_close

SIDE = 24
OBJECT = np.zeros((SIDE, SIDE), np.float32)
OBJECT[4:12, 10:18] = 1
IMAGE = np.random.default_rng(0).normal(1, 0.1, (SIDE, SIDE, 3)).astype(np.float32)


def score(image):
    """The object's mean brightness: 1 on the image, 0 where the object is gone."""
    return jnp.sum(image * OBJECT[..., np.newaxis]) / np.float32(3 * OBJECT.sum())


PERFECT = OBJECT + np.linspace(0, 0.5, SIDE**2, dtype=np.float32).reshape(SIDE, SIDE)  # no two values are equal
UNIFORM = np.ones((SIDE, SIDE), np.float32)
INVERTED = 1.5 - PERFECT


def test_deletion_by_hand():
    image = jnp.array([[[4.0], [1.0]], [[2.0], [3.0]]])
    curve = deletion(jnp.sum, image, image[..., 0], steps=4)
    np.testing.assert_allclose(curve.fractions, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(curve.scores, [10, 6, 3, 1, 0])
    assert float(curve.area) == pytest.approx((5 + 6 + 3 + 1) / 4)
    uneven = deletion(jnp.sum, image, image[..., 0], steps=3)  # two pixels a step, so two steps
    np.testing.assert_allclose(uneven.fractions, [0, 0.5, 1])
    kept = deletion(jnp.sum, image, image[..., 0], steps=4, fill=image)
    np.testing.assert_allclose(kept.scores, 10)


def test_rises_steps_change_as_many_pixels_as_the_image_is_wide():
    curve = deletion(lambda image: jnp.sum(image), jnp.ones((8, 8, 1)), jnp.ones((8, 8)), steps=8)
    np.testing.assert_allclose(curve.scores, np.arange(64, -1, -8))


def areas(heatmap):
    return (
        float(deletion(score, IMAGE, heatmap, steps=36).area),
        float(insertion(score, IMAGE, heatmap, steps=36, fill=jnp.zeros_like(IMAGE)).area),
    )


def test_the_trivial_limits_of_deletion_and_insertion():
    perfect, uniform, inverted = areas(PERFECT), areas(UNIFORM), areas(INVERTED)
    share = OBJECT.mean()
    assert perfect[0] == pytest.approx(share / 2, abs=0.01)  # all gone after the object's share of the pixels
    assert perfect[1] == pytest.approx(1 - share / 2, abs=0.02)
    assert inverted[0] == pytest.approx(1 - share / 2, abs=0.02)
    assert inverted[1] == pytest.approx(share / 2, abs=0.01)
    assert perfect[0] < uniform[0] < inverted[0]
    assert perfect[1] > uniform[1] > inverted[1]


def test_many_maps_and_images_compile_to_one_program_with_the_same_numbers():
    images, maps = np.stack([IMAGE, 2 * IMAGE]), np.stack([PERFECT, INVERTED])
    each = [float(deletion(score, image, heat, steps=9).area) for image, heat in zip(images, maps, strict=True)]
    compiled = jax.jit(jax.vmap(lambda image, heat: deletion(score, image, heat, steps=9).area))
    np.testing.assert_allclose(compiled(images, maps), each, rtol=1e-5)


def test_chunks_change_nothing():
    choices = jnp.arange(7.0)
    results = [
        jax.lax.map(lambda factor: score(factor * IMAGE), choices, batch_size=3),
        scores_of(score, lambda factor: factor * IMAGE, choices, chunk=2),
    ]
    np.testing.assert_allclose(*results, rtol=1e-6)


def test_the_blur_is_rises():
    from scipy.ndimage import gaussian_filter

    pulse = np.zeros((11, 11))
    pulse[5, 5] = 1
    kernel = gaussian_filter(pulse, 5)
    padded = np.pad(IMAGE.astype(np.float64), ((5, 5), (5, 5), (0, 0)))
    expected = sum(
        kernel[row, column] * padded[row : row + SIDE, column : column + SIDE]
        for row in range(11)
        for column in range(11)
    )
    assert_close(blurred(jnp.asarray(IMAGE)), expected)
    with pytest.raises(InputError, match="odd number"):
        blurred(jnp.asarray(IMAGE), width=10)


def test_the_trivial_limits_of_average_drop():
    kept = confidence_change(score, IMAGE, OBJECT)  # a perfect map keeps the object whole
    assert (float(kept.drop), bool(kept.increase)) == (pytest.approx(0, abs=1e-6), False)
    same = confidence_change(score, IMAGE, UNIFORM)
    assert (float(same.drop), bool(same.increase)) == (0, False)
    gone = confidence_change(score, IMAGE, 1 - OBJECT)
    assert (float(gone.drop), bool(gone.increase)) == (1, False)

    def against_the_rest(image):
        return score(image) - 0.5 * jnp.mean(image) + 1

    assert bool(confidence_change(against_the_rest, IMAGE, OBJECT).increase)


def test_occlusion_by_hand():
    image = jnp.arange(16.0).reshape(4, 4, 1)
    drops = occlusion_drops(jnp.sum, image, patch=2, stride=2)
    np.testing.assert_allclose(drops, [[10, 18], [42, 50]])
    np.testing.assert_allclose(patch_means(image[..., 0], patch=2, stride=2), np.asarray(drops) / 4)
    filled = occlusion_drops(jnp.sum, image, patch=2, stride=1, fill=1.0)
    assert filled.shape == (3, 3)
    assert float(filled[0, 0]) == 10 - 4


def test_the_correlation_is_scipys():
    drops = occlusion_drops(score, IMAGE, patch=6, stride=3)
    rng = np.random.default_rng(2)
    heatmap = rng.random((SIDE, SIDE), np.float32)
    means = [
        [heatmap[row : row + 6, column : column + 6].mean() for column in range(0, 19, 3)]
        for row in range(0, 19, 3)
    ]
    expected = scipy.stats.spearmanr(np.ravel(means), np.ravel(drops)).statistic
    assert float(occlusion_correlation(drops, heatmap, patch=6, stride=3)) == pytest.approx(expected, abs=1e-5)


def test_the_trivial_limits_of_the_occlusion_correlation():
    drops = occlusion_drops(score, IMAGE, patch=6, stride=3)
    correlate = functools.partial(occlusion_correlation, drops, patch=6, stride=3)
    assert float(correlate(IMAGE.mean(axis=2) * OBJECT)) == pytest.approx(1, abs=0.02)
    assert float(correlate(-IMAGE.mean(axis=2) * OBJECT)) == pytest.approx(-1, abs=0.02)
    assert float(correlate(np.float32(0.1) * UNIFORM)) == 0
    with pytest.raises(InputError, match="another patch or stride"):
        occlusion_correlation(drops, UNIFORM, patch=8, stride=3)


def test_an_imputed_pixel_is_the_weighted_mean_of_its_neighbours():
    known = jnp.ones((3, 3), bool).at[1, 1].set(False)
    image = jnp.array([[1.0, 2.0, 3.0], [4.0, 99.0, 5.0], [6.0, 7.0, 8.0]])[..., jnp.newaxis]
    expected = (2 + 4 + 5 + 7) / 6 + (1 + 3 + 6 + 8) / 12
    assert float(imputed(image, known)[1, 1, 0]) == pytest.approx(expected, rel=1e-5)
    smooth = jnp.broadcast_to(jnp.arange(9.0).reshape(1, 9, 1), (9, 9, 1))  # a slope is continued
    hole = jnp.ones((9, 9), bool).at[2:7, 2:7].set(False)
    assert_close(imputed(smooth, hole), smooth, 1e-4)
    assert not np.asarray(imputed(image, jnp.zeros((3, 3), bool))).any()


def test_the_trivial_limits_of_road():
    image = IMAGE * OBJECT[..., np.newaxis]
    find = functools.partial(road, score, image, key=jax.random.key(0), noise=0.0)
    perfect, uniform, inverted = find(PERFECT), find(UNIFORM), find(INVERTED)
    assert float(uniform.combined) == 0
    assert float(perfect.combined) > 0.2
    assert float(inverted.combined) == pytest.approx(-float(perfect.combined), abs=1e-3)
    assert float(perfect.most_relevant_first) < 0.5 < float(perfect.least_relevant_first)


@pytest.mark.parametrize(
    "call",
    [
        lambda: deletion(score, IMAGE, UNIFORM[:5]),
        lambda: insertion(score, IMAGE, UNIFORM[:5]),
        lambda: deletion(score, IMAGE, UNIFORM, steps=0),
        lambda: confidence_change(score, IMAGE, UNIFORM[:5]),
        lambda: occlusion_drops(score, IMAGE, patch=SIDE + 1),
        lambda: road(score, IMAGE, UNIFORM[:5], jax.random.key(0)),
        lambda: road(score, IMAGE, UNIFORM, jax.random.key(0), percentiles=(0,)),
    ],
)
def test_what_does_not_fit_is_said(call):
    with pytest.raises(InputError, match="Expected"):
        call()

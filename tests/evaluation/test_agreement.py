import jax
import numpy as np
import pytest

from gradcam_jax.evaluation.agreement import map_agreement


def test_hand_computed():
    found = map_agreement(np.array([[1.0, 2.0, 3.0]], np.float32), np.array([[10.0, 30.0, 20.0]], np.float32))
    assert float(found.rank_correlation) == pytest.approx(0.5)  # 1 - 6 * 2 / (3 * 8)
    assert float(found.difference) == pytest.approx(28 / 30)
    assert not found.same_peak


def test_ties_share_their_mean_rank():
    found = map_agreement(np.array([[0.0, 0.0, 1.0]], np.float32), np.array([[1.0, 2.0, 3.0]], np.float32))
    assert float(found.rank_correlation) == pytest.approx(np.corrcoef([1.5, 1.5, 3], [1, 2, 3])[0, 1])


def test_constant_maps_agree_with_each_other_alone():
    flat, other = np.zeros((2, 2), np.float32), np.arange(4, dtype=np.float32).reshape(2, 2)
    assert map_agreement(flat, flat).rank_correlation == 1
    assert map_agreement(flat, other).rank_correlation == 0


def test_the_scale_does_not_change_the_ranks():
    cam = jax.random.normal(jax.random.key(0), (5, 7))
    found = map_agreement(3 * cam + 1, cam)
    assert float(found.rank_correlation) == pytest.approx(1, abs=1e-6)
    assert found.same_peak


def test_shapes_must_be_equal():
    with pytest.raises(ValueError, match="two maps of one shape"):
        map_agreement(np.zeros((2, 2)), np.zeros((2, 3)))

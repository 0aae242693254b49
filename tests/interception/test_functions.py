"""Taps on plain functions in a row."""

import jax.numpy as jnp
import pytest

from gradcam_jax import LayerError, tapped_split
from tests.comparison import assert_close

STAGES = {"features": lambda x: x * 2.0, "head": jnp.sum}


def test_features_and_head():
    outputs, activations = tapped_split(STAGES, "features")({}, jnp.array([1.0, 2.0]))
    assert_close(outputs, 6.0, 0)
    assert_close(activations["features"], [2.0, 4.0], 0)


def test_an_unknown_stage_is_an_error_at_once():
    with pytest.raises(LayerError, match="Nearest: features"):
        tapped_split(STAGES, "feature")

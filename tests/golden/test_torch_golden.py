"""The core against numbers that torch and captum computed; see ``make_torch_golden.py`` for how."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from tests.comparison import assert_close, random_images
from tests.models.small_vgg import SIZE, small_vgg


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).with_name("torch_golden.npz")) as arrays:
        return dict(arrays)


def test_small_vgg(golden):
    images = jnp.asarray(random_images(2, SIZE))
    forward = gc.tapped(*small_vgg(), "relu3_1")
    explanation = gc.explain(forward, images, golden["labels"][:, np.newaxis], guided=True)
    assert_close(explanation.outputs, golden["logits"])
    assert_close(explanation.cam[:, 0], golden["cam"])
    assert_close(explanation.guided_backprop[:, 0], golden["guided_backprop"])


def test_efficientnet_lite0(golden):
    loaded = gc.zoo.load("efficientnet_lite0")
    logits = jax.jit(loaded.model.apply)(loaded.variables, random_images(1, 224)[0])
    assert_close(logits, golden["lite0_logits"])

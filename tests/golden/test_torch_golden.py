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
    model, variables = small_vgg()
    for index, label in enumerate(golden["labels"]):
        image = jnp.asarray(random_images(2, SIZE)[index])
        explanation = gc.explain_classes(model, variables, "relu3_1", image, jnp.array([label]))
        assert_close(explanation.outputs, golden["logits"][index])
        assert_close(explanation.cam[0], golden["cam"][index])
        assert_close(explanation.guided_backprop[0], golden["guided_backprop"][index])


def test_efficientnet_lite0(golden):
    entry = gc.find_entry("efficientnet_lite0")
    logits = jax.jit(entry.build().apply)(gc.load_variables(entry), random_images(1, 224)[0])
    assert_close(logits, golden["lite0_logits"])

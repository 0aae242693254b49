"""Taps on plain functions in a row."""

import jax
import jax.numpy as jnp
import pytest

from gradcam_jax import (
    LayerError,
    explain,
    guided,
    layer_grads,
    layer_shapes,
    tapped,
    tapped_functions,
)
from tests.comparison import assert_close, random_images
from tests.models.small_vgg import small_vgg

STAGES = {"features": lambda x: x * 2.0, "head": jnp.sum}
LABELS = jnp.array([[0, 1], [6, 5]])


def stages_of_small_vgg(rule=jax.nn.relu):
    model, variables = small_vgg()
    stages = model.stages(variables)
    return {name: rule if name.startswith("relu") else stage for name, stage in stages.items()}


def test_features_and_head():
    outputs, activations = tapped_functions(STAGES, "features")({}, jnp.array([1.0, 2.0]))
    assert_close(outputs, 6.0, 0)
    assert_close(activations["features"], [2.0, 4.0], 0)


def test_an_unknown_stage_is_an_error_at_once():
    with pytest.raises(LayerError, match="Nearest: features"):
        tapped_functions(STAGES, "feature")


def test_stages_are_listed_with_their_shapes():
    shapes = layer_shapes(tapped_functions(STAGES, ()), jnp.ones(3))
    assert {name: leaf.shape for name, leaf in shapes.items()} == {"features": (3,), "head": ()}
    assert list(shapes) == ["features", "head"]


def test_resumed_continues_from_a_stage():
    forward = tapped_functions({"a": jnp.sin, "b": jnp.exp, "c": jnp.square}, "b")
    x = jnp.array([0.3, -0.2])
    outputs, activations = forward.resumed("a")({}, x, jnp.zeros(2))
    assert_close(outputs, jnp.exp(x) ** 2, 1e-6)
    assert_close(activations["b"], jnp.exp(x), 1e-6)
    assert set(activations) == {"b"}


def test_explained_as_the_same_model_in_linen():
    model, variables = small_vgg()
    images = jnp.asarray(random_images(2, 32))
    ours = explain(
        tapped_functions(stages_of_small_vgg(), "relu3_1"),
        images,
        LABELS,
        guided=tapped_functions(stages_of_small_vgg(guided(jax.nn.relu)), "relu3_1"),
    )
    expected = explain(tapped(model, variables, "relu3_1"), images, LABELS, guided=True)
    for name in ("outputs", "scores", "cam", "guided_backprop"):
        assert_close(getattr(ours, name), getattr(expected, name), 5e-6)


def test_rectifiers_inside_functions_are_found():
    images = jnp.asarray(random_images(2, 32))
    ours = explain(tapped_functions(stages_of_small_vgg(), "relu3_1"), images, LABELS, guided=True)
    rule = tapped_functions(stages_of_small_vgg(guided(jax.nn.relu)), "relu3_1")
    expected = explain(tapped_functions(stages_of_small_vgg(), "relu3_1"), images, LABELS, guided=rule)
    assert_close(ours.guided_backprop, expected.guided_backprop, 1e-6)


def test_several_stages_come_from_one_pass():
    forward = tapped_functions({"a": jnp.sin, "b": jnp.exp, "c": jnp.sum}, ("a", "b"))
    x = jnp.array([0.3, -0.2])
    gradients = layer_grads(forward, lambda y: y, x).gradients
    assert_close(gradients["b"], jnp.ones(2), 1e-6)
    assert_close(gradients["a"], jnp.exp(jnp.sin(x)), 1e-6)

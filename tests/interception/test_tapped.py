"""A tapped model is a pytree: its weights are arguments of what it is given to, never constants."""

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax import Tapped, explain, layer_grads, tapped
from gradcam_jax.models.vgg import VGG
from tests.comparison import assert_close, kaiming_variables, random_images
from tests.models.small_vgg import SETTINGS, small_vgg

LABELS = np.array([[0, 1], [6, 5]])


def images():
    return jnp.asarray(random_images(2, 32))


def test_the_leaves_are_the_variables():
    model, variables = small_vgg()
    forward = tapped(model, variables, "relu3_1")
    leaves, tree = jax.tree.flatten(forward)
    for leaf, expected in zip(leaves, jax.tree.leaves(variables), strict=True):
        np.testing.assert_array_equal(leaf, expected)
    rebuilt = jax.tree.unflatten(tree, leaves)
    assert isinstance(rebuilt, Tapped)
    assert rebuilt.layers == ("relu3_1",)
    doubled = jax.tree.map(lambda leaf: 2 * leaf, forward)
    image = images()[0]
    assert_close(doubled({}, image)[0], model.apply(jax.tree.map(lambda leaf: 2 * leaf, variables), image), 1e-6)


def test_numpy_variables_go_to_the_device_once_and_stay_the_callers():
    model, variables = small_vgg()
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(variables))
    forward = tapped(model, variables, "relu3_1")
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(forward))
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(variables))
    assert forward.at("relu2_1").variables is forward.variables


def largest_constant(traced):
    """Elements of the largest array that a traced program holds, nested programs included."""
    return max((np.size(value) for value in traced.jaxpr.consts), default=0)


def test_under_jit_the_weights_are_arguments_and_no_constants():
    model, variables = small_vgg()
    forward = tapped(model, variables, "relu3_1")
    weights = len(jax.tree.leaves(variables))

    def cams(forward, images, labels):
        return explain(forward, images, labels, guided=True)

    traced = jax.jit(cams).trace(forward, images(), jnp.asarray(LABELS))
    assert len(traced.jaxpr.in_avals) == weights + 2
    assert largest_constant(traced) <= 1
    smallest = min(leaf.size for leaf in jax.tree.leaves(variables) if leaf.ndim > 1)
    text = traced.lower().as_text()
    assert not [line for line in text.splitlines() if "dense_resource" in line or len(line) > 40 * smallest]


def test_a_closure_has_them_as_constants():
    """What the pytree is for: the check above can fail."""
    model, variables = small_vgg()
    forward = tapped(model, variables, "relu3_1")
    traced = jax.jit(lambda image: forward({}, image)[0]).trace(images()[0])
    assert largest_constant(traced) > 100


def test_one_program_serves_all_weights():
    model, variables = small_vgg()
    traces = 0

    @jax.jit
    def outputs(forward, image):
        nonlocal traces
        traces += 1
        return forward({}, image)[0]

    image = images()[0]
    for seed in range(3):
        other = kaiming_variables(variables, seed)
        assert_close(outputs(tapped(model, other, "relu3_1"), image), model.apply(other, image), 1e-5)
    assert traces == 1
    outputs(tapped(VGG(**SETTINGS), variables, "relu3_1"), image)  # another class of model
    outputs(tapped(model, variables, "relu2_1"), image)
    assert traces == 3


def test_equal_models_share_a_program():
    _, variables = small_vgg()
    first, second = (tapped(VGG(**SETTINGS), variables, "relu3_1") for _ in range(2))
    assert first.program == second.program
    assert hash(first.program) == hash(second.program)
    assert first.program != tapped(VGG(**SETTINGS | {"hidden": 17}), variables, "relu3_1").program
    assert first.program != tapped(VGG(**SETTINGS), variables, "relu3_1", batch_axis=False).program


def test_gradients_with_respect_to_the_weights():
    model, variables = small_vgg()
    image = images()[0]
    gradient = jax.grad(lambda forward: forward({}, image)[0][2])(tapped(model, variables, "relu3_1"))
    expected = jax.grad(lambda variables: model.apply(variables, image)[2])(variables)
    for ours, theirs in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected), strict=True):
        assert_close(ours, theirs, 1e-5)


def test_resumed_continues_from_the_layer_and_drops_what_lies_before():
    model, variables = small_vgg()
    image = images()[0]
    forward = tapped(model, variables, ("relu2_1", "relu3_1"))
    outputs, activations = forward({}, image)
    resumed = forward.at("relu3_1").resumed("relu2_1")
    again, later = resumed({}, activations["relu2_1"], jnp.zeros_like(image))
    assert_close(again, outputs, 1e-6)
    assert_close(later["relu3_1"], activations["relu3_1"], 1e-6)
    assert set(later) == {"relu3_1"}
    moved = resumed({"relu3_1": jnp.ones_like(later["relu3_1"])}, activations["relu2_1"], image)[1]
    assert_close(moved["relu3_1"], later["relu3_1"] + 1, 1e-6)

    def flops(function, *arguments):
        return jax.jit(function).lower(*arguments).compile().cost_analysis()["flops"]

    whole = flops(lambda x: forward({}, x)[0], image)
    rest = flops(lambda a, x: resumed({}, a, x)[0], activations["relu2_1"], image)
    first = flops(lambda x: forward.at("relu2_1")({}, x)[1], image)
    assert rest <= 1.02 * (whole - first)


def test_at_other_layers():
    model, variables = small_vgg()
    forward = tapped(model, variables)
    image = images()[0]
    assert forward.layers == ()
    assert set(forward({}, image)[1]) == set()
    for layers in ("relu2_1", ("relu2_1",), ["relu2_1", "relu2_1"]):
        assert forward.at(layers).layers == ("relu2_1",)
    grads = layer_grads(forward.at("relu2_1"), lambda y: y[0], image)
    expected = layer_grads(tapped(model, variables, "relu2_1"), lambda y: y[0], image)
    np.testing.assert_array_equal(grads.gradients["relu2_1"], expected.gradients["relu2_1"])

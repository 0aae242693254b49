"""Taps on unmodified Linen models, also where modules repeat, are rematerialised, jitted or scanned."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax import LayerError, explain, layer_grads, layer_shapes, tapped
from tests.comparison import assert_close, random_images
from tests.models.small_vgg import small_vgg

X = jnp.array([0.3, -0.2, 0.9])


class Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        return jnp.tanh(nn.Dense(3, name="dense")(x))


class Plain(nn.Module):
    block: type[nn.Module] = Block

    @nn.compact
    def __call__(self, x):
        return nn.Dense(2, name="head")(self.block(name="second")(self.block(name="first")(x)))


class Repeating(nn.Module):
    @nn.compact
    def __call__(self, x):
        block = Block(name="block")
        return nn.Dense(2, name="head")(block(block(x)))


class Pair(nn.Module):
    @nn.compact
    def __call__(self, x):
        return x, x


def initialised(model, *inputs):
    return model, model.init(jax.random.key(0), *inputs)


def gradient(model, variables, layer):
    return layer_grads(tapped(model, variables, layer), lambda y: y[0], X).gradients[layer]


def test_layers_are_listed_in_the_order_of_their_calls():
    model, variables = initialised(Plain(), X)
    shapes = {name: leaf.shape for name, leaf in layer_shapes(tapped(model, variables), X).items()}
    assert shapes == {"first/dense": (3,), "first": (3,), "second/dense": (3,), "second": (3,), "head": (2,)}
    assert list(shapes) == ["first/dense", "first", "second/dense", "second", "head"]


def test_every_listed_layer_can_be_tapped():
    model, variables = small_vgg()
    image = jnp.ones((32, 32, 3))
    for name, shape in layer_shapes(tapped(model, variables), image).items():
        _, activations = tapped(model, variables, name)({}, image)
        assert activations[name].shape == shape.shape


def test_the_outputs_of_a_tapped_model_are_the_models_own():
    model, variables = initialised(Plain(), X)
    expected = model.apply(variables, X[jnp.newaxis])[0]
    np.testing.assert_array_equal(tapped(model, variables, "first")({}, X)[0], expected)


@pytest.mark.parametrize("lift", [nn.remat, nn.jit])
@pytest.mark.parametrize("layer", ["first", "second/dense"])
def test_lifted_modules_can_be_tapped(lift, layer):
    model, variables = initialised(Plain(), X)
    lifted = Plain(block=lift(Block))
    expected = gradient(model, variables, layer)
    assert_close(gradient(lifted, variables, layer), expected, 1e-6)
    assert_close(jax.jit(lambda v: gradient(lifted, v, layer))(variables), expected, 1e-6)
    # A second layer of the same model is not answered from the first one's trace.
    assert_close(gradient(lifted, variables, "head"), gradient(model, variables, "head"), 1e-6)


@pytest.mark.parametrize("lift", [nn.remat, nn.jit])
def test_layers_of_lifted_modules_are_listed_too(lift):
    model, variables = initialised(Plain(), X)
    expected = layer_shapes(tapped(model, variables), X)
    listed = layer_shapes(tapped(Plain(block=lift(Block)), variables), X)
    assert list(listed) == list(expected)
    assert listed == expected


def test_a_module_called_twice_needs_its_occurrence():
    model, variables = initialised(Repeating(), X)
    listed = list(layer_shapes(tapped(model, variables), X))
    assert listed == ["block/dense:0", "block:0", "block/dense:1", "block:1", "head"]
    with pytest.raises(LayerError, match=r"more than once.*'block:0'"):
        tapped(model, variables, "block")({}, X)
    first, second = gradient(model, variables, "block:0"), gradient(model, variables, "block:1")
    kernel = variables["params"]["head"]["kernel"]
    assert_close(second, kernel[:, 0], 1e-6)
    bound = Block().bind({"params": variables["params"]["block"]})
    _, pull_back = jax.vjp(bound, bound(X))
    assert_close(first, pull_back(second)[0], 1e-6)
    with pytest.raises(LayerError, match="block:2"):
        tapped(model, variables, "block:2")({}, X)


def scanned(**options):
    return nn.scan(
        Looped, variable_axes={"params": 0}, split_rngs={"params": True}, length=3, **options
    )(name="loop")  # fmt: skip


class Scanning(nn.Module):
    """Blocks in a scan, each with parameters of its own, then a head; and the same in a loop."""

    options: tuple = ()

    @nn.compact
    def __call__(self, x):
        x, _ = scanned(**dict(self.options))(x, None)
        return nn.Dense(2, name="head")(x)

    def in_a_loop(self, variables, x, start=0):
        params = variables["params"]
        order = reversed(range(3)) if dict(self.options).get("reverse") else range(3)
        for index in list(order)[start:]:
            leaves = jax.tree.map(lambda leaf, index=index: leaf[index], params["loop"]["inner"]["dense"])
            x = jnp.tanh(x @ leaves["kernel"] + leaves["bias"])
        return x @ params["head"]["kernel"] + params["head"]["bias"]


@pytest.mark.parametrize("options", [(), (("reverse", True),), (("unroll", 3),)])
def test_a_layer_of_a_scan_is_called_once_a_step(options):
    model, variables = initialised(Scanning(options), X)
    forward = tapped(model, variables)
    inside = ("loop/inner/dense", "loop/inner", "loop.0", "loop.1")
    assert list(layer_shapes(forward, X)) == [*(f"{name}:{step}" for step in range(3) for name in inside), "head"]
    with pytest.raises(LayerError, match=r"more than once.*'loop/inner:0'"):
        forward.at("loop/inner")({}, X)
    for step in range(3):
        name = f"loop/inner:{step}"
        outputs, activations, gradients = layer_grads(forward.at(name), lambda y: y[0], X)
        assert_close(outputs, model.in_a_loop(variables, X), 1e-6)

        def after(activation, step=step):
            return model.in_a_loop(variables, activation, step + 1)[0]

        assert_close(after(activations[name]), outputs[0], 1e-6)
        assert_close(gradients[name], jax.grad(after)(activations[name]), 1e-6)
        other = 2 * activations[name]
        resumed = forward.at("head").resumed(name)
        assert_close(resumed({}, other, X)[0][0], after(other), 1e-6)
    both = forward.at(["loop/inner:0", "loop/inner:2"])
    assert set(layer_grads(both, lambda y: y[0], X).gradients) == set(both.layers)


def test_a_layer_under_vmap_is_called_once_an_example():
    class Ensemble(nn.Module):
        @nn.compact
        def __call__(self, x):
            several = nn.vmap(
                Block, variable_axes={"params": 0}, split_rngs={"params": True}, axis_size=2, in_axes=None
            )
            return several(name="member")(x).sum(0)

    model, variables = initialised(Ensemble(), X)
    forward = tapped(model, variables)
    assert list(layer_shapes(forward, X))[:2] == ["member/dense:0", "member/dense:1"]
    dense = variables["params"]["member"]["dense"]
    _, activations, gradients = layer_grads(forward.at("member/dense:1"), lambda y: y[2], X)
    expected = X @ dense["kernel"][1] + dense["bias"][1]
    assert_close(activations["member/dense:1"], expected, 1e-6)
    assert_close(gradients["member/dense:1"], [0, 0, 1 - jnp.tanh(expected[2]) ** 2], 1e-6)


class Looped(nn.Module):
    @nn.compact
    def __call__(self, carry, _=None):
        return Block(name="inner")(carry), carry


def test_an_unknown_name_lists_the_nearest():
    model, variables = small_vgg()
    with pytest.raises(LayerError, match=r"no layer 'conv3-1'.*conv3_1"):
        tapped(model, variables, "conv3-1")({}, jnp.ones((32, 32, 3)))


def test_the_arrays_that_a_layer_returns_have_names_of_their_own():
    model, variables = initialised(nn.Sequential([Pair(), lambda x, y: x + 2 * y]), X)
    forward = tapped(model, variables)
    assert list(layer_shapes(forward, X)) == ["layers_0.0", "layers_0.1"]
    with pytest.raises(LayerError, match=r"no layer 'layers_0'\. Nearest: layers_0\.\d, layers_0\.\d"):
        forward.at("layers_0")({}, X)
    gradients = layer_grads(forward.at(["layers_0.0", "layers_0.1"]), lambda y: y[1], X).gradients
    assert_close(gradients["layers_0.0"], [0, 1, 0], 0)
    assert_close(gradients["layers_0.1"], [0, 2, 0], 0)


def test_nothing_is_left_on_the_model_or_its_variables():
    model, variables = initialised(Plain(), X)
    before = jax.tree.map(np.asarray, variables)
    gradient(model, variables, "first")
    assert set(variables) == set(before) == {"params"}
    assert set(model.init(jax.random.key(0), X)) == {"params"}


def test_the_callers_model_and_variables_are_untouched_by_guided_gradients():
    model, variables = small_vgg()
    fields, before = dict(vars(model)), jax.tree.map(np.array, variables)
    explain(tapped(model, variables, "relu3_1"), jnp.asarray(random_images(1, 32)), jnp.array([[1]]), guided=True)
    assert dict(vars(model)) == fields
    jax.tree.map(np.testing.assert_array_equal, variables, before)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(variables))

"""Taps on unmodified Linen models, also where modules repeat, are rematerialised, jitted or scanned."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax import InputError, LayerError, explain, guided, layer_grads, layer_shapes, tapped
from gradcam_jax.models.layers import Relu
from tests.comparison import assert_close, kaiming_variables, random_images
from tests.models.flax_models import Tutorial, WithBatchNorm
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


def test_a_layer_of_a_scan_is_an_error_that_says_so():
    scanned = nn.scan(Looped, variable_broadcast="params", split_rngs={"params": False}, length=3)
    model, variables = initialised(scanned(), X)
    with pytest.raises(LayerError, match=r"nn\.scan"):
        tapped(model, variables, "inner")({}, X)


class Looped(nn.Module):
    @nn.compact
    def __call__(self, carry, _=None):
        return Block(name="inner")(carry), carry


def test_an_unknown_name_lists_the_nearest():
    model, variables = small_vgg()
    with pytest.raises(LayerError, match=r"no layer 'conv3-1'.*conv3_1"):
        tapped(model, variables, "conv3-1")({}, jnp.ones((32, 32, 3)))


def test_a_layer_that_returns_no_array_is_an_error():
    model, variables = initialised(nn.Sequential([Pair(), lambda x, y: x + y]), X)
    with pytest.raises(LayerError, match="tuple"):
        tapped(model, variables, "layers_0")({}, X)


def test_nothing_is_left_on_the_model_or_its_variables():
    model, variables = initialised(Plain(), X)
    before = jax.tree.map(np.asarray, variables)
    gradient(model, variables, "first")
    assert set(variables) == set(before) == {"params"}
    assert set(model.init(jax.random.key(0), X)) == {"params"}


def test_no_tracer_is_left_behind():
    with jax.checking_leaks():
        layer_shapes(tapped(*initialised(Plain(), X)), X)
        for build in (Plain, lambda: Plain(block=nn.remat(Block)), lambda: Plain(block=nn.jit(Block))):
            model, variables = initialised(build(), X)
            jax.jit(lambda v, model=model: gradient(model, v, "second"))(variables)
            jax.vmap(lambda x, model=model, v=variables: tapped(model, v, "first")({}, x)[1])(jnp.ones((2, 3)))


def test_the_callers_model_and_variables_are_untouched_by_guided_gradients():
    model, variables = small_vgg()
    fields, before = dict(vars(model)), jax.tree.map(np.array, variables)
    explain(tapped(model, variables, "relu3_1"), jnp.asarray(random_images(1, 32)), jnp.array([[1]]), guided=True)
    assert dict(vars(model)) == fields
    jax.tree.map(np.testing.assert_array_equal, variables, before)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(variables))


@pytest.fixture
def standard_promotion():
    """As users have it: Flax's average pooling mixes types."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def test_flaxs_tutorial_works_as_it_is(standard_promotion):
    model, image = Tutorial(), jnp.asarray(random_images(1, 16)[0])
    variables = kaiming_variables(jax.eval_shape(model.init, jax.random.key(0), image[jnp.newaxis]))
    forward = tapped(model, variables, "conv2")
    shapes = {name: leaf.shape for name, leaf in layer_shapes(forward, image).items()}
    assert shapes == {"conv1": (16, 16, 4), "conv2": (8, 8, 6), "hidden": (10,), "logits": (7,)}
    grads = layer_grads(forward, lambda y: y[3], image)
    assert_close(grads.outputs, model.apply(variables, image[jnp.newaxis])[0], 1e-6)

    def after_conv2(activation):
        params = variables["params"]
        x = nn.avg_pool(nn.relu(activation), (2, 2), strides=(2, 2)).reshape(-1)
        x = nn.relu(x @ params["hidden"]["kernel"] + params["hidden"]["bias"])
        return (x @ params["logits"]["kernel"] + params["logits"]["bias"])[3]

    assert_close(grads.gradients["conv2"], jax.grad(after_conv2)(grads.activations["conv2"]), 1e-6)


def with_batch_norm():
    model, images = WithBatchNorm(), jnp.asarray(random_images(3, 16))
    rngs = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    variables = kaiming_variables(jax.eval_shape(lambda x: model.init(rngs, x, train=True), images))
    variables["batch_stats"] = jax.tree.map(lambda leaf: np.abs(leaf) + 1, variables["batch_stats"])
    return model, variables, images


def test_a_required_train_argument_and_batch_statistics():
    model, variables, images = with_batch_norm()
    forward = tapped(model, variables, "last", train=False)
    outputs, activations = jax.vmap(lambda image: forward({}, image))(images)
    capture = {"capture_intermediates": True, "mutable": ["intermediates"]}
    expected, captured = model.apply(variables, images, False, **capture)
    assert_close(outputs, expected, 1e-6)
    assert_close(activations["last"], captured["intermediates"]["last"]["__call__"][0], 1e-6)
    assert list(layer_shapes(forward, images[0])) == ["conv", "norm", "Dropout_0", "last", "logits"]


class Dropping(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = nn.Dropout(0.5, deterministic=not train)(jnp.tanh(nn.Dense(20, name="wide")(x)))
        return nn.Dense(2, name="head")(x)


def test_dropout_takes_its_keys_from_rngs():
    model, variables = initialised(Dropping(), X, False)

    def drop(seed):
        return tapped(model, variables, "wide", train=True, rngs={"dropout": jax.random.key(seed)})({}, X)[0]

    np.testing.assert_array_equal(drop(1), drop(1))
    assert not np.array_equal(drop(1), drop(2))
    assert not np.array_equal(drop(1), tapped(model, variables, "wide", train=False)({}, X)[0])


def test_another_method_of_the_model():
    class Named(nn.Module):
        def setup(self):
            self.trunk, self.head = nn.Dense(3), nn.Dense(2)

        def __call__(self, x):
            return self.head(self.features(x))

        def features(self, x):
            return jnp.tanh(self.trunk(x))

    model, variables = initialised(Named(), X)
    forward = tapped(model, variables, "trunk", method="features")
    outputs, activations = forward({}, X)
    assert_close(outputs, jnp.tanh(activations["trunk"]), 1e-6)
    assert list(layer_shapes(forward, X)) == ["trunk"]
    grads = layer_grads(tapped(model, variables, "trunk", method=Named.features), lambda y: y[1], X)
    assert_close(grads.gradients["trunk"], [0, 1 - outputs[1] ** 2, 0], 1e-6)


class OneExample(nn.Module):
    """Takes one image, not a batch: its mean is over everything but the channels."""

    @nn.compact
    def __call__(self, x):
        x = Relu(name="relu")(nn.Conv(4, (3, 3), name="conv")(x))
        return nn.Dense(5, name="head")(jnp.mean(x, axis=(0, 1)))


def test_a_model_of_one_example():
    image = jnp.asarray(random_images(1, 8)[0])
    model, variables = initialised(OneExample(), image)
    forward = tapped(model, variables, "relu", batch_axis=False)
    assert {name: leaf.shape for name, leaf in layer_shapes(forward, image).items()} == {
        "conv": (8, 8, 4), "relu": (8, 8, 4), "head": (5,)
    }  # fmt: skip
    outputs, activations, gradients = layer_grads(forward, lambda y: y[2], image)
    assert_close(outputs, model.apply(variables, image), 1e-6)
    expected = jnp.broadcast_to(variables["params"]["head"]["kernel"][:, 2] / 64, (8, 8, 4))
    assert_close(gradients["relu"], expected, 1e-6)
    assert activations["relu"].shape == (8, 8, 4)


def test_a_model_of_one_example_says_how_it_is_tapped():
    image = jnp.asarray(random_images(1, 8)[0])
    model, variables = initialised(OneExample(), image)
    with pytest.raises(InputError, match=r"OneExample to keep the batch axis.*tapped\(\.\.\., batch_axis=False\)"):
        tapped(model, variables, "relu")({}, image)


class WithList(nn.Module):
    """A field that is a list cannot be hashed."""

    widths: list[int]
    relu: object = nn.relu

    @nn.compact
    def __call__(self, x):
        for index, width in enumerate(self.widths):
            x = Relu(self.relu, name=f"relu{index}")(nn.Conv(width, (3, 3), name=f"conv{index}")(x))
        return nn.Dense(3, name="head")(jnp.mean(x, axis=(1, 2)))


class Outer(nn.Module):
    inner: nn.Module

    @nn.compact
    def __call__(self, x):
        return self.inner(x)


@pytest.mark.parametrize("prefix", ["", "inner/"])
def test_fields_that_cannot_be_hashed(prefix):
    images = jnp.asarray(random_images(2, 8))
    model = WithList([4, 5]) if not prefix else Outer(WithList([4, 5]))
    variables = model.init(jax.random.key(0), images)
    with pytest.raises(TypeError, match="unhashable"):
        hash(model)
    forward = tapped(model, variables, f"{prefix}relu1")
    explanation = explain(forward, images, jnp.array([[0], [2]]), guided=True)
    grads = layer_grads(forward, lambda y: y[2], images[1])
    assert_close(explanation.outputs, model.apply(variables, images), 1e-6)
    weights = jnp.mean(grads.gradients[f"{prefix}relu1"], axis=(0, 1))
    assert_close(explanation.cam[1, 0], grads.activations[f"{prefix}relu1"] @ weights, 2e-6)
    assert explanation.guided_backprop.shape == (2, 1, 8, 8, 3)
    other = explain(tapped(model, variables, f"{prefix}relu0"), images, jnp.array([[0], [2]]))
    assert other.cam.shape == (2, 1, 8, 8)


def test_models_that_cannot_be_hashed_are_told_apart():
    images, labels = jnp.asarray(random_images(2, 8)), jnp.array([[0], [2]])
    for widths in ([4], [4, 5], [6]):
        model = WithList(widths)
        variables = model.init(jax.random.key(0), images)
        explanation = explain(tapped(model, variables, "relu0"), images, labels)
        assert_close(explanation.outputs, model.apply(variables, images), 1e-6)


def test_a_relu_rule_reaches_inner_modules_and_is_refused_where_there_is_no_field():
    image = jnp.asarray(random_images(1, 8)[0])
    model = Outer(WithList([4, 5]))
    variables = model.init(jax.random.key(0), image[jnp.newaxis])
    forward = tapped(model, variables, ()).with_relu_rule(guided)
    assert forward.program.model.inner.relu is guided(nn.relu)
    assert model.inner.relu is nn.relu
    with pytest.raises(InputError, match="Tutorial has no field 'relu'"):
        tapped(Tutorial(), {}, ()).with_relu_rule(guided)

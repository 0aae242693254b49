"""Models as users have them: Flax's tutorials, batch normalisation, dropout, one example, any field."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax import InputError, explain, guided, layer_grads, layer_shapes, rectifiers, suggest_layer, tapped
from gradcam_jax.models.layers import Relu
from tests.comparison import assert_close, kaiming_variables, random_images
from tests.models.flax_models import Tutorial, WithBatchNorm
from tests.models.flax_resnet import ResNet, ResNetBlock

X = jnp.array([0.3, -0.2, 0.9])


def initialised(model, *inputs):
    return model, model.init(jax.random.key(0), *inputs)


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
    assert shapes == {
        "conv1": (16, 16, 4), "conv1.relu": (16, 16, 4), "conv2": (8, 8, 6), "conv2.relu": (8, 8, 6),
        "hidden": (10,), "hidden.relu": (10,), "logits": (7,),
    }  # fmt: skip
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
    expected = ["conv", "norm", "Dropout_0", "last", "last.relu", "logits"]  # Dropout_0 returns what it is given
    assert list(layer_shapes(forward, images[0])) == expected


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


def test_the_resnet_of_flaxs_imagenet_example(standard_promotion):
    model = ResNet(stage_sizes=[1, 1], block_cls=ResNetBlock, num_classes=5, num_filters=4)
    images, labels = jnp.asarray(random_images(2, 32)), jnp.array([[1], [4]])
    variables = kaiming_variables(jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images))
    variables["batch_stats"] = jax.tree.map(lambda leaf: np.abs(leaf) + 1, variables["batch_stats"])
    forward = tapped(model, variables, "ResNetBlock_1", train=False)
    assert rectifiers(forward, images[0]) == {"relu": 5}
    assert suggest_layer(forward, images[0]).layer == "ResNetBlock_1"
    inside = [name for name in layer_shapes(forward, images[0]) if name.startswith("ResNetBlock_0/")]
    assert inside == [
        f"ResNetBlock_0/{name}" for name in ("Conv_0", "BatchNorm_0", "BatchNorm_0.relu", "Conv_1", "BatchNorm_1")
    ]
    explanation = explain(forward, images, labels, guided=True)
    assert_close(explanation.outputs, model.apply(variables, images, train=False), 1e-6)
    _, state = model.apply(variables, images, train=False, capture_intermediates=True, mutable=["intermediates"])
    activation = state["intermediates"]["ResNetBlock_1"]["__call__"][0]
    weights = variables["params"]["Dense_0"]["kernel"].T[jnp.array([1, 4])] / 16  # after a mean over 4x4 positions
    assert_close(explanation.cam[:, 0], jnp.einsum("nhwk,nk->nhw", activation, weights), 2e-6)
    # Its own activation is a field; the first one is called inline.
    twin = model.clone(act=guided(nn.relu))

    def score(x):
        stem = nn.Conv(4, (7, 7), (2, 2), padding=[(3, 3), (3, 3)], use_bias=False)
        x = stem.apply({"params": variables["params"]["conv_init"]}, x)
        own = {name: variables[name]["bn_init"] for name in ("params", "batch_stats")}
        x = nn.BatchNorm(use_running_average=True, epsilon=1e-5).apply(own, x)
        x = nn.max_pool(guided(nn.relu)(x), (3, 3), strides=(2, 2), padding="SAME")
        norm = functools.partial(nn.BatchNorm, use_running_average=True, epsilon=1e-5)
        for index in range(2):
            block = ResNetBlock(
                4 * 2**index, functools.partial(nn.Conv, use_bias=False), norm, twin.act, (1 + index, 1 + index)
            )
            own = {name: variables[name][f"ResNetBlock_{index}"] for name in ("params", "batch_stats")}
            x = block.apply(own, x)
        logits = nn.Dense(5).apply({"params": variables["params"]["Dense_0"]}, x.mean((1, 2)))
        return logits[0, 1] + logits[1, 4]

    assert_close(explanation.guided_backprop[:, 0], jax.grad(score)(images), 2e-6)

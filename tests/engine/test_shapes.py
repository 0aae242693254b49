"""Layers that are no images with their channels last: signals, volumes, tokens, channels first."""

import dataclasses

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import gradcam_jax as gc
from tests.comparison import assert_close, random_images
from tests.models.nnx_vit import VisionTransformer
from tests.models.small_vgg import small_vgg


@pytest.fixture(autouse=True)
def standard_promotion():
    """As users have it."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def random_batch(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


class Convolutional(nn.Module):
    """A classifier of inputs with any number of spatial axes."""

    axes: int

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(6, (3,) * self.axes, name="conv")(x))
        x = nn.Conv(5, (3,) * self.axes, strides=(2,) * self.axes, name="last")(x)
        return nn.Dense(4, name="head")(jnp.tanh(x).reshape((x.shape[0], -1)))


@pytest.mark.parametrize("extent", [(17,), (9, 7), (5, 6, 7)])
@pytest.mark.parametrize("layer", ["conv", "conv.relu", "last"])
def test_signals_images_and_volumes(extent, layer):
    model, batch = Convolutional(len(extent)), random_batch(2, *extent, 3)
    variables = jax.jit(model.init)(jax.random.key(0), batch)
    explanation = gc.explain(gc.tapped(model, variables, layer), batch, jnp.array([[1, 3], [0, 2]]), guided=True)
    assert explanation.guided_backprop.shape == (2, 2, *batch.shape[1:])
    conv = nn.Conv(6, (3,) * len(extent)).apply({"params": variables["params"]["conv"]}, batch)

    def after(activation):
        params = variables["params"]
        if layer == "conv":
            activation = nn.relu(activation)
        if layer != "last":
            last = nn.Conv(5, (3,) * len(extent), (2,) * len(extent))
            activation = last.apply({"params": params["last"]}, activation)
        x = jnp.tanh(activation).reshape((activation.shape[0], -1))
        return x @ params["head"]["kernel"] + params["head"]["bias"]

    last = nn.Conv(5, (3,) * len(extent), (2,) * len(extent))
    activation = {"conv": conv, "conv.relu": nn.relu(conv)}.get(layer)
    if activation is None:
        activation = last.apply({"params": variables["params"]["last"]}, nn.relu(conv))
    gradient = jax.grad(lambda a: after(a)[0, 3] + after(a)[1, 2])(activation)
    positions = tuple(range(1, 1 + len(extent)))
    weights = gradient.mean(positions, keepdims=True)
    assert_close(explanation.cam[:, 1], (activation * weights).sum(-1), 2e-6)


@pytest.mark.parametrize("image_size", [(16, 16), (16, 24)])
def test_the_tokens_of_a_vision_transformer(image_size):
    model = VisionTransformer(image_size, 4, rngs=nnx.Rngs(0))
    images = jnp.asarray(random_images(2, *image_size))
    rows, columns = image_size[0] // 4, image_size[1] // 4
    layout = gc.token_grid() if rows == columns else gc.token_grid(1, (rows, columns))
    forward = gc.tapped(model, "encoder.layers.0")
    explanation = gc.explain(forward, images, jnp.array([[2], [4]]), layout=layout)
    assert_close(explanation.outputs, jax.jit(model)(images), 1e-5)
    assert explanation.cam.shape == (2, 1, rows, columns)
    tokens = jax.jit(jax.vmap(lambda image: forward({}, image)[1]["encoder.layers.0"]))(images)

    @jax.jit
    @jax.grad
    def gradient_of(tokens):
        logits = model.after_first_block(tokens)
        return logits[0, 2] + logits[1, 4]

    gradient = gradient_of(tokens)
    weights = gradient[:, 1:].mean(1)
    expected = jnp.einsum("ntk,nk->nt", tokens[:, 1:], weights).reshape(2, rows, columns)
    assert_close(explanation.cam[:, 0], expected, 1e-5)
    # Without a layout a map has one value a token.
    without = jax.eval_shape(lambda images: gc.explain(forward, images, jnp.array([[2], [4]])), images)
    assert without.cam.shape == (2, 1, 1 + rows * columns)
    assert gc.rectifiers(forward, images[0]) == {"gelu": 2}


def test_a_grid_that_the_tokens_do_not_fill_is_an_error():
    model = VisionTransformer((16, 24), 4, rngs=nnx.Rngs(0))
    forward, images = gc.tapped(model, "encoder.layers.0"), jnp.asarray(random_images(1, 16, 24))
    with pytest.raises(
        gc.LayerError, match=r"Layer 'encoder\.layers\.0' cannot be mapped.*a square number.*\(25, 12\)"
    ):
        gc.explain(forward, images, gc.top_k(1), layout=gc.token_grid())
    with pytest.raises(gc.LayerError, match=r"2 class tokens and 24 positions"):
        gc.explain(forward, images, gc.top_k(1), layout=gc.token_grid(2, (4, 6)))


def test_channels_first_equals_channels_last():
    model, variables = small_vgg()
    stages = model.stages(variables)
    names = list(stages)
    images, labels = jnp.asarray(random_images(2, 32)), jnp.array([[0], [3]])
    expected = gc.explain(gc.tapped(model, variables, "relu3_1"), images, labels, guided=True)

    def moved(name):
        def stage(x):
            x = jnp.moveaxis(x, 0, -1) if x.ndim == 3 else x
            x = stages[name](x)
            return jnp.moveaxis(x, -1, 0) if x.ndim == 3 else x

        return stage

    forward = gc.tapped_functions({name: moved(name) for name in names}, "relu3_1")
    nchw = jnp.moveaxis(images, -1, 1)
    ours = gc.explain(forward, nchw, labels, layout=gc.channels_first, guided=True)
    assert_close(ours.cam, expected.cam, 5e-6)
    assert_close(ours.guided_backprop, jnp.moveaxis(expected.guided_backprop, -1, 2), 5e-6)
    with pytest.raises(gc.InputError, match=r"channels last.*layout=channels_first"):
        gc.explain(forward, nchw, labels)


@flax.struct.dataclass
class Output:
    logits: jax.Array
    features: tuple
    loss: jax.Array


class Rich(nn.Module):
    """Two inputs, and outputs in a dataclass, a tuple and a number."""

    @nn.compact
    def __call__(self, x, prompt):
        x = nn.relu(nn.Conv(6, (3, 3), name="conv")(x))
        pooled = x.mean((1, 2)) * prompt["scale"]
        return Output(nn.Dense(4, name="head")(pooled), (x, pooled), jnp.sum(pooled))


def logit_of(outputs, label):
    return outputs.logits[label]


def unit_of(outputs, unit):
    return outputs.features[1][unit]


def test_several_inputs_and_outputs_in_a_dataclass():
    model, images = Rich(), jnp.asarray(random_images(2, 8))
    prompt = {"scale": random_batch(2, 6)}
    variables = model.init(jax.random.key(0), images, prompt)
    forward = gc.tapped(model, variables, "conv.relu")
    explanation = gc.explain(forward, images, jnp.array([[1], [2]]), prompt, score=logit_of)
    assert_close(explanation.outputs.logits, model.apply(variables, images, prompt).logits, 1e-6)
    activation = nn.relu(nn.Conv(6, (3, 3)).apply({"params": variables["params"]["conv"]}, images))
    weights = variables["params"]["head"]["kernel"].T[jnp.array([1, 2])] * prompt["scale"] / 64
    assert_close(explanation.cam[:, 0], jnp.einsum("nhwk,nk->nhw", activation, weights), 2e-6)
    unit = gc.explain(forward, images, jnp.array([[1], [2]]), prompt, score=unit_of).cam
    assert_close(unit[0, 0], activation[0, ..., 1] * prompt["scale"][0, 1] / 64, 2e-6)


@dataclasses.dataclass
class Unregistered:
    logits: jax.Array


def test_outputs_that_are_no_tree_of_arrays_are_an_error():
    class Wrapping(nn.Module):
        @nn.compact
        def __call__(self, x):
            return Unregistered(nn.Dense(4)(nn.relu(nn.Conv(6, (3, 3), name="conv")(x)).mean((1, 2))))

    images = jnp.asarray(random_images(2, 8))
    variables = Wrapping().init(jax.random.key(0), images)
    with pytest.raises(gc.InputError, match=r"Wrapping to return arrays.*got Unregistered.*register_dataclass"):
        gc.explain(gc.tapped(Wrapping(), variables, "conv"), images, gc.top_k(1))

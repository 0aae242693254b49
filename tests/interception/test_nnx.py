"""Taps on unmodified NNX models, compared with models cut by hand."""

import copy
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import gradcam_jax as gc
from tests.comparison import assert_close, random_images


@pytest.fixture(autouse=True)
def standard_promotion():
    """As users have it: Flax's batch normalisation and average pooling mix types."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


class Tutorial(nnx.Module):
    """The network of Flax's NNX MNIST tutorial, smaller, with its batch normalisation and dropout."""

    def __init__(self, *, rngs):
        self.conv1 = nnx.Conv(3, 4, kernel_size=(3, 3), rngs=rngs)
        self.batch_norm1 = nnx.BatchNorm(4, rngs=rngs)
        self.dropout1 = nnx.Dropout(rate=0.025, rngs=rngs)
        self.conv2 = nnx.Conv(4, 6, kernel_size=(3, 3), rngs=rngs)
        self.batch_norm2 = nnx.BatchNorm(6, rngs=rngs)
        self.avg_pool = functools.partial(nnx.avg_pool, window_shape=(2, 2), strides=(2, 2))
        self.linear1 = nnx.Linear(96, 16, rngs=rngs)
        self.linear2 = nnx.Linear(16, 7, rngs=rngs)

    def __call__(self, x):
        x = self.avg_pool(nnx.relu(self.batch_norm1(self.dropout1(self.conv1(x)))))
        x = self.avg_pool(nnx.relu(self.batch_norm2(self.conv2(x))))
        x = x.reshape(x.shape[0], -1)
        return self.linear2(nnx.relu(self.linear1(x)))

    def after_conv2(self, activation):
        x = self.avg_pool(nnx.relu(self.batch_norm2(activation)))
        return self.linear2(nnx.relu(self.linear1(x.reshape(x.shape[0], -1))))

    def features(self, x):
        return nnx.relu(self.conv1(x))


class Block(nnx.Module):
    def __init__(self, *, rngs):
        self.dense = nnx.Linear(3, 3, rngs=rngs)

    def __call__(self, x):
        return jnp.tanh(self.dense(x))


class RematBlock(Block):
    __call__ = nnx.remat(Block.__call__)


class JitBlock(Block):
    __call__ = nnx.jit(Block.__call__)


class Blocks(nnx.Module):
    def __init__(self, block, *, rngs):
        self.blocks = nnx.List([block(rngs=rngs), block(rngs=rngs)])
        self.head = nnx.Linear(3, 2, rngs=rngs)
        self.unused = nnx.Linear(3, 2, rngs=rngs)

    def __call__(self, x, train=False):
        del train
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Repeating(nnx.Module):
    def __init__(self, *, rngs):
        self.block, self.head = Block(rngs=rngs), nnx.Linear(3, 2, rngs=rngs)

    def __call__(self, x):
        return self.head(self.block(self.block(x)))


X = jnp.array([0.3, -0.2, 0.9])


def tutorial():
    model = Tutorial(rngs=nnx.Rngs(0))
    model.batch_norm1.mean[...] = jnp.array([0.1, -0.2, 0.3, 0.0])
    model.eval()
    return model, jnp.asarray(random_images(2, 16))


def state_of(model):
    """Everything that a model holds: arrays as numpy, and the rest as it is."""
    graph, state = nnx.split(model)
    leaves = [
        np.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)
        for leaf in jax.tree.leaves(state)
    ]
    return (
        graph,
        leaves,
        {str(path): (type(module), set(vars(module))) for path, module in nnx.iter_modules(model)},
    )


def assert_unchanged(before, after):
    assert before[0] == after[0]
    assert before[2] == after[2]
    for first, second in zip(before[1], after[1], strict=True):
        np.testing.assert_array_equal(first, second)


def test_layers_are_listed_by_dotted_paths_in_the_order_of_their_calls():
    model, images = tutorial()
    shapes = {name: leaf.shape for name, leaf in gc.layer_shapes(gc.tapped(model), images[0]).items()}
    assert shapes == {
        "conv1": (16, 16, 4), "dropout1": (16, 16, 4), "batch_norm1": (16, 16, 4), "batch_norm1.relu": (16, 16, 4),
        "conv2": (8, 8, 6), "batch_norm2": (8, 8, 6), "batch_norm2.relu": (8, 8, 6),
        "linear1": (16,), "linear1.relu": (16,), "linear2": (7,),
    }  # fmt: skip
    assert list(shapes)[:3] == ["conv1", "dropout1", "batch_norm1"]


def test_flaxs_tutorial_equals_a_cut_by_hand():
    model, images = tutorial()
    explanation = gc.explain(gc.tapped(model, "conv2"), images, jnp.array([[3], [6]]))
    assert_close(explanation.outputs, model(images), 1e-6)
    activation = model.conv2(model.avg_pool(nnx.relu(model.batch_norm1(model.conv1(images)))))
    gradient = jax.grad(lambda a: model.after_conv2(a)[0, 3] + model.after_conv2(a)[1, 6])(activation)
    expected = jnp.einsum("nhwk,nk->nhw", activation, gradient.mean((1, 2)))
    assert_close(explanation.cam[:, 0], expected, 1e-6)


def test_guided_gradients_equal_those_of_a_model_with_guided_rectifiers():
    model, images = tutorial()
    explanation = gc.explain(gc.tapped(model, "conv2"), images, jnp.array([[3], [6]]), guided=True)

    def by_hand(x):
        relu = gc.guided(jax.nn.relu)
        x = model.avg_pool(relu(model.batch_norm1(model.conv1(x))))
        x = model.avg_pool(relu(model.batch_norm2(model.conv2(x))))
        y = model.linear2(relu(model.linear1(x.reshape(x.shape[0], -1))))
        return y[0, 3] + y[1, 6]

    assert_close(explanation.guided_backprop[:, 0], jax.grad(by_hand)(images), 1e-6)


@pytest.mark.parametrize("block", [Block, RematBlock, JitBlock])
@pytest.mark.parametrize("layer", ["blocks.0", "blocks.1.dense"])
def test_modules_under_nnxs_transformations(block, layer):
    model, plain = (Blocks(one, rngs=nnx.Rngs(0)) for one in (block, Block))

    def gradient(model, layer):
        return gc.layer_grads(gc.tapped(model, layer), lambda y: y[0], X).gradients[layer]

    first = plain.blocks[0](X)
    after = {
        "blocks.0": lambda a: plain.head(plain.blocks[1](a))[0],
        "blocks.1.dense": lambda a: plain.head(jnp.tanh(a))[0],
    }[layer]
    at = {"blocks.0": first, "blocks.1.dense": plain.blocks[1].dense(first)}[layer]
    expected = jax.grad(after)(at)
    assert_close(gradient(model, layer), expected, 1e-6)
    forward = gc.tapped(model, layer)
    under_jit = jax.jit(lambda forward, x: gc.layer_grads(forward, lambda y: y[0], x).gradients[layer])
    assert_close(under_jit(forward, X), expected, 1e-6)
    assert_close(jax.vmap(under_jit, (None, 0))(forward, jnp.stack([X, X]))[1], expected, 1e-6)
    # A second layer of the same model is not answered from the first one's trace.
    assert_close(gradient(model, "head"), [1.0, 0.0], 0)


def test_a_module_called_twice_needs_its_occurrence():
    model = Repeating(rngs=nnx.Rngs(0))
    forward = gc.tapped(model)
    assert list(gc.layer_shapes(forward, X)) == ["block.dense:0", "block:0", "block.dense:1", "block:1", "head"]
    with pytest.raises(gc.LayerError, match=r"more than once.*'block:0'"):
        forward.at("block")({}, X)
    first = gc.layer_grads(forward.at("block:0"), lambda y: y[1], X).gradients["block:0"]
    assert_close(first, jax.grad(lambda a: model.head(model.block(a))[1])(model.block(X)), 1e-6)


class Scanning(nnx.Module):
    """Three blocks in ``nnx.scan``, each with parameters of its own."""

    def __init__(self, *, rngs):
        make = nnx.vmap(lambda rngs: Block(rngs=rngs), in_axes=0, out_axes=0)
        self.blocks, self.head = nnx.split_rngs(splits=3)(make)(rngs), nnx.Linear(3, 2, rngs=rngs)

    def __call__(self, x):
        run = nnx.scan(lambda block, x: block(x), in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
        return self.head(run(self.blocks, x))


def test_a_module_inside_a_scan_is_called_once_a_step():
    model = Scanning(rngs=nnx.Rngs(0))
    forward = gc.tapped(model, "blocks:1")
    expected = [f"{name}:{step}" for step in range(3) for name in ("blocks.dense", "blocks")]
    assert list(gc.layer_shapes(forward, X)) == [*expected, "head"]
    kernel, bias = model.blocks.dense.kernel[...], model.blocks.dense.bias[...]

    def step(x, index):
        return jnp.tanh(x @ kernel[index] + bias[index])

    outputs, activations, gradients = gc.layer_grads(forward, lambda y: y[1], X)
    assert_close(outputs, model(X[None])[0], 1e-6)
    second = step(step(X, 0), 1)
    assert_close(activations["blocks:1"], second, 1e-6)
    assert_close(gradients["blocks:1"], jax.grad(lambda x: model.head(step(x, 2))[1])(second), 1e-6)


def test_a_layer_that_is_not_reached_lists_the_nearest():
    with pytest.raises(gc.LayerError, match=r"no layer 'blocks.1.dens'.*blocks.1.dense"):
        gc.tapped(Blocks(Block, rngs=nnx.Rngs(0)), "blocks.1.dens")({}, X)
    with pytest.raises(gc.LayerError, match="no layer 'unused'"):
        gc.tapped(Blocks(Block, rngs=nnx.Rngs(0)), "unused")({}, X)


def test_several_layers_from_one_pass():
    model, images = tutorial()
    both = gc.explain(gc.tapped(model, ["conv1", "conv2"]), images, gc.top_k(2))
    for layer in ("conv1", "conv2"):
        alone = gc.explain(gc.tapped(model, layer), images, gc.top_k(2))
        assert_close(both.cam[layer], alone.cam, 1e-6)


def test_the_forward_is_a_pytree_of_the_variables():
    model, images = tutorial()
    forward = gc.tapped(model, "conv2")
    gradient = jax.grad(lambda forward: forward({}, images[0])[0][2], allow_int=True)(forward)
    expected = nnx.grad(lambda model: model(images[:1])[0, 2])(model)
    ours = gradient.variables["params"]["conv1"]["kernel"]
    assert_close(ours[...], expected["conv1"]["kernel"][...], 1e-6)


def test_equal_models_share_a_program():
    first, second = (gc.tapped(Blocks(Block, rngs=nnx.Rngs(seed))).program for seed in range(2))
    assert first == second
    assert hash(first) == hash(second)
    assert first != gc.tapped(Blocks(RematBlock, rngs=nnx.Rngs(0))).program
    assert first != gc.tapped(Blocks(Block, rngs=nnx.Rngs(0)), batch_axis=False).program


def test_dropout_in_training_takes_its_keys_from_the_models_streams():
    model, images = tutorial()
    model.train()
    model.dropout1.rate = 0.5
    before = state_of(model)
    forward = gc.tapped(model, "dropout1")
    first, second = (forward({}, images[0])[1]["dropout1"] for _ in range(2))
    np.testing.assert_array_equal(first, second)  # the streams of a copy advance, the model's do not
    assert 0.2 < float((first == 0).mean()) < 0.8
    assert_unchanged(before, state_of(model))
    copied = copy.deepcopy(model)
    assert_close(forward({}, images[0])[0], copied(images[:1])[0], 1e-5)


class TakesRngs(nnx.Module):
    def __init__(self, *, rngs):
        self.wide, self.head = nnx.Linear(3, 40, rngs=rngs), nnx.Linear(40, 2, rngs=rngs)
        self.dropout = nnx.Dropout(0.5)

    def __call__(self, x, train, rngs=None):
        return self.head(self.dropout(self.wide(x), deterministic=not train, rngs=rngs))


def test_random_streams_given_to_the_call():
    model, rngs = TakesRngs(rngs=nnx.Rngs(0)), nnx.Rngs(dropout=3)
    forward = gc.tapped(model, "wide", train=True, rngs=rngs)
    outputs = forward({}, X)[0]
    np.testing.assert_array_equal(outputs, forward({}, X)[0])
    assert int(rngs.dropout.count[...]) == 0
    assert_close(outputs, model(X[None], train=True, rngs=rngs)[0], 1e-6)
    assert_close(gc.tapped(model, "wide", train=False)({}, X)[0], model(X[None], train=False)[0], 1e-6)


def test_another_method_of_the_model():
    model, images = tutorial()
    forward = gc.tapped(model, "conv1", method="features")
    assert list(gc.layer_shapes(forward, images[0])) == ["conv1", "conv1.relu"]
    assert_close(forward({}, images[0])[0], model.features(images[:1])[0], 1e-6)


@pytest.mark.parametrize("guided", [False, True])
def test_the_callers_model_is_unchanged_after_success_and_failure(guided):
    model, images = tutorial()
    before = state_of(model)
    forward = gc.tapped(model, "conv2")
    gc.explain(forward, images, gc.top_k(1), guided=guided)
    assert_unchanged(before, state_of(model))
    with pytest.raises(gc.LayerError):
        gc.explain(gc.tapped(model, "conv3"), images, gc.top_k(1), guided=guided)
    with pytest.raises(TypeError):
        gc.explain(gc.tapped(model, "conv2", nonsense=1), images, gc.top_k(1), guided=guided)
    assert_unchanged(before, state_of(model))
    model.conv2.kernel[...] = 2 * model.conv2.kernel[...]  # what was tapped is a copy of its own
    assert_close(forward({}, images[0])[0], gc.tapped(tutorial()[0])({}, images[0])[0], 0)


def test_a_trunk_in_bfloat16():
    model, images = tutorial()
    forward = gc.tapped(model, "conv2")
    half = gc.prepared(forward, images[0], precision="bfloat16")
    assert half.variables["params"]["conv1"]["kernel"][...].dtype == jnp.bfloat16
    assert half.variables["params"]["linear1"]["kernel"][...].dtype == jnp.float32
    expected = gc.explain(forward, images, jnp.array([[3], [6]])).cam
    assert_close(gc.explain(half, images, jnp.array([[3], [6]])).cam, expected, 0.05)


def test_a_model_of_another_kind_is_refused():
    with pytest.raises(gc.InputError, match=r"Linen or NNX, got function.*tapped_functions"):
        gc.tapped(lambda x: x, {}, "conv")

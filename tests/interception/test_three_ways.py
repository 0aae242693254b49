"""One network written three ways gives the same explanation, however it is called; and captum's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from tests.comparison import assert_close, random_images
from tests.models.three_ways import LAYERS, WAYS, nnx_model, variables

ONE, MANY = [[3], [1]], [[0, 4, 2], [1, 1, 3]]


def images(count=2):
    return jnp.asarray(random_images(count, 8))


def eagerly(forward, images, labels):
    return gc.explain(forward, images, labels, guided=True)


def under_jit(forward, images, labels):
    return jax.jit(functools.partial(gc.explain, guided=True))(forward, images, labels)


def under_vmap(forward, images, labels):
    def one(image, labels):
        found = gc.explain(forward, image[None], labels[None], guided=True)
        return jax.tree.map(lambda leaf: leaf[0], found)

    return jax.vmap(one)(images, labels)


CALLS = {"eager": eagerly, "jit": under_jit, "vmap": under_vmap}


@functools.cache
def expected(labels):
    """By hand: the NNX model called layer by layer, rectifiers with the rule written out."""
    model, relu, batch = nnx_model(), gc.guided(jax.nn.relu), images(len(labels))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):

        def pool(x):
            return x.reshape(x.shape[0], 4, 2, 4, 2, -1).max((2, 4))

        def after(layer, value, relu=jax.nn.relu):
            value = model.late(value) if layer == "trunk" else value
            return model.head(relu(value).reshape(value.shape[0], -1))

        trunk = pool(jax.nn.relu(model.trunk.conv(batch)))
        values = {"trunk": trunk, "late": model.late(trunk)}
        maps = {layer: [] for layer in LAYERS}
        pixels = []
        for target in np.asarray(labels).T:

            def score(logits, target=target):
                return logits[jnp.arange(len(target)), target].sum()

            for layer in LAYERS:
                gradient = jax.grad(lambda value, layer=layer: score(after(layer, value)))(values[layer])
                maps[layer].append((values[layer] * gradient.mean((1, 2), keepdims=True)).sum(-1))

            def of_pixels(x):
                return score(after("trunk", pool(relu(model.trunk.conv(x))), relu))

            pixels.append(jax.grad(of_pixels)(batch))
    return {layer: jnp.stack(found, 1) for layer, found in maps.items()}, jnp.stack(pixels, 1)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("remat", [False, True])
@pytest.mark.parametrize("layers", [("trunk",), LAYERS])
@pytest.mark.parametrize("labels", [ONE, MANY])
def test_they_agree(way, call, remat, layers, labels):
    found = CALLS[call](WAYS[way](layers, remat), images(), jnp.array(labels))
    maps, pixels = expected(tuple(map(tuple, labels)))
    for layer in layers:
        assert_close(found.cam[layer] if len(layers) > 1 else found.cam, maps[layer], 1e-6)
    assert_close(found.guided_backprop, pixels, 1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_found_in_them(way):
    forward = WAYS[way]((), False)
    assert gc.rectifiers(forward, images()[0]) == {"relu": 2}
    names = list(gc.layer_shapes(forward, images()[0]))
    assert set(LAYERS) <= set(names)
    assert gc.suggest_layer(forward, images()[0]).layer == "late.relu"


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU:UserWarning")
@pytest.mark.parametrize("way", WAYS)
def test_guided_backpropagation_of_captum_in_float64(way):
    torch = pytest.importorskip("torch", reason="compares with torch: install the extra `oracle`")
    captum = pytest.importorskip("captum.attr", reason="compares with captum: install the extra `oracle`")
    params = jax.tree.map(lambda leaf: torch.tensor(np.asarray(leaf, np.float64)), variables()["params"])

    def convolution(layer):
        module = torch.nn.Conv2d(layer["kernel"].shape[2], layer["kernel"].shape[3], 3, padding=1).double()
        module.weight.data, module.bias.data = layer["kernel"].permute(3, 2, 0, 1).contiguous(), layer["bias"]
        return module

    head = torch.nn.Linear(96, 5).double()
    # torch flattens channels, rows, columns; Flax rows, columns, channels.
    head.weight.data = params["head"]["kernel"].reshape(16, 6, 5).permute(2, 1, 0).reshape(5, 96).contiguous()
    head.bias.data = params["head"]["bias"]
    twin = torch.nn.Sequential(
        convolution(params["trunk"]["conv"]), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        convolution(params["late"]), torch.nn.ReLU(), torch.nn.Flatten(), head,
    )  # fmt: skip
    inputs = torch.tensor(np.asarray(images(), np.float64)).permute(0, 3, 1, 2).requires_grad_()
    theirs = captum.GuidedBackprop(twin).attribute(inputs, target=[3, 1]).permute(0, 2, 3, 1).numpy()
    forward = WAYS[way](("trunk",), False)
    with jax.enable_x64(True):
        forward = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), forward)
        batch = jnp.asarray(images(), jnp.float64)
        if way == "functions":  # their weights are in the functions, in float32
            batch, tolerance = batch.astype(jnp.float32), 2e-6
        else:
            tolerance = 1e-12
        ours = gc.explain(forward, batch, jnp.array(ONE), guided=True).guided_backprop[:, 0]
        assert_close(ours, theirs, tolerance)

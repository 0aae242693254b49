"""Models of other libraries, unchanged: flaxmodels, Equinox, keras.applications; compared with a cut by hand.

For guided backpropagation the model itself is run with ``jax.nn.relu`` replaced by the guided one.
"""

import functools
import importlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from tests.comparison import assert_close, random_images

pytestmark = [
    pytest.mark.oracle,
    # What the libraries say of themselves; pyparsing and the like are theirs.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
LABELS = jnp.array([[1, 4], [2, 0]])


@pytest.fixture(autouse=True)
def standard_promotion():
    """As users have it."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def library(name):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"runs a model of {name}: install the extra `oracle`")
    return importlib.import_module(name)


@pytest.fixture
def guided_relu(monkeypatch):
    """Lets what is traced from now on have guided rectifiers, wherever it gets them from."""

    def replace():
        for name in ("relu", "relu6"):
            function = gc.guided(getattr(jax.nn, name))
            monkeypatch.setattr(jax.nn, name, function)
            monkeypatch.setattr(nn, name, function, raising=False)

    return replace


def maps_by_hand(activations, after):
    """Grad-CAM from the activations of a batch, and what follows them as a function of a batch."""
    positions = tuple(range(1, activations.ndim - 1))
    maps = []
    for labels in LABELS.T:
        gradients = jax.grad(lambda a, labels=labels: after(a)[jnp.arange(len(labels)), labels].sum())(activations)
        weights = gradients.mean(positions, keepdims=True)
        maps.append((weights * activations).sum(-1))
    return jnp.stack(maps, 1)


def pixels_by_hand(images, call):
    return jnp.stack(
        [jax.grad(lambda x, l=l: call(x)[jnp.arange(len(l)), l].sum())(images) for l in LABELS.T],
        1,
    )


def random_variables(shapes, seed=0):
    """Weights at which activations keep their scale, and statistics near 0 and 1."""
    generator = np.random.default_rng(seed)

    def draw(path, leaf):
        name = path[-1].key
        if name in ("var", "scale"):
            return jnp.asarray(generator.uniform(0.5, 1, leaf.shape), leaf.dtype)
        spread = np.sqrt(2 / np.prod(leaf.shape[:-1])) if len(leaf.shape) > 1 else 0.1
        return jnp.asarray(spread * generator.standard_normal(leaf.shape, np.float32), leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def of_flaxmodels(name, size, **options):
    model = getattr(library("flaxmodels"), name)(output="logits", pretrained=None, num_classes=5, **options)
    shapes = jax.eval_shape(
        lambda x: model.init(jax.random.key(0), x, train=False),
        jax.ShapeDtypeStruct((1, size, size, 3), "float32"),
    )
    return model, random_variables(shapes)


@pytest.fixture
def float64():
    """For nets so deep that two programs' roundings in float32 differ by more than a millionth."""
    with jax.enable_x64(True):
        yield


def test_resnet18_of_flaxmodels(guided_relu, float64):
    model, variables = of_flaxmodels("ResNet18", 64, dtype="float64")
    images = jnp.asarray(random_images(2, 64), jnp.float64)
    forward = gc.tapped(model, variables, "BasicBlock_6", train=False)
    assert gc.rectifiers(forward, images[0]) == {"relu": 17}
    assert gc.suggest_layer(forward, images[0]).layer == "BasicBlock_7"
    found = gc.explain(forward, images, LABELS, guided=True)
    assert_close(found.outputs, model.apply(variables, images, train=False), 1e-6)
    _, state = model.apply(variables, images, train=False, capture_intermediates=True, mutable=["intermediates"])
    (activations,) = state["intermediates"]["BasicBlock_6"]["__call__"]
    own = {name: variables[name]["BasicBlock_7"] for name in ("params", "batch_stats")}
    block = library("flaxmodels.resnet.resnet").BasicBlock(features=512, kernel_size=(3, 3), dtype="float64")

    def after(x):
        x = block.apply(own, x, {}, train=False).mean((1, 2))
        return x @ variables["params"]["Dense_0"]["kernel"] + variables["params"]["Dense_0"]["bias"]

    assert_close(after(activations), found.outputs, 1e-6)
    assert_close(found.cam, maps_by_hand(activations, after), 1e-6)
    guided_relu()
    by_hand = jax.jit(functools.partial(pixels_by_hand, call=lambda x: model.apply(variables, x, train=False)))
    assert_close(found.guided_backprop, by_hand(images), 1e-6)


def test_vgg16_of_flaxmodels(guided_relu):
    model, variables = of_flaxmodels("VGG16", 224, include_head=True)
    images = jnp.asarray(random_images(2, 224))
    forward = gc.tapped(model, variables, "conv5_3.relu", train=False)
    found = gc.explain(forward, images, LABELS, guided=True)
    _, state = model.apply(variables, images, train=False, capture_intermediates=True, mutable=["intermediates"])
    (before,) = state["intermediates"]["conv5_3"]["__call__"]

    def after(x):
        x = nn.max_pool(x, (2, 2), strides=(2, 2)).transpose(0, 3, 1, 2).reshape(len(x), -1)
        for name in ("fc6", "fc7", "fc8"):
            x = x @ variables["params"][name]["kernel"] + variables["params"][name]["bias"]
            x = nn.relu(x) if name != "fc8" else x
        return x

    assert_close(found.outputs, after(nn.relu(before)), 1e-6)
    assert_close(found.cam, maps_by_hand(nn.relu(before), after), 1e-6)
    guided_relu()
    by_hand = jax.jit(lambda v, x: pixels_by_hand(x, lambda x: model.apply(v, x, train=False)))
    assert_close(found.guided_backprop, by_hand(variables, images), 1e-6)


def test_the_cnn_of_equinoxs_mnist_example():
    """Each layer a stage, channels first: Equinox's layout."""
    eqx = library("equinox")
    keys = jax.random.split(jax.random.key(0), 4)
    layers = [
        eqx.nn.Conv2d(1, 3, kernel_size=4, key=keys[0]),
        eqx.nn.MaxPool2d(kernel_size=2),
        jax.nn.relu,
        jnp.ravel,
        eqx.nn.Linear(1728, 512, key=keys[1]),
        jax.nn.sigmoid,
        eqx.nn.Linear(512, 64, key=keys[2]),
        jax.nn.relu,
        eqx.nn.Linear(64, 10, key=keys[3]),
        jax.nn.log_softmax,
    ]
    images = jnp.asarray(random_images(2, 28)[..., :1]).transpose(0, 3, 1, 2)
    forward = gc.tapped_functions({f"layers.{index}": layer for index, layer in enumerate(layers)}, "layers.0")
    found = gc.explain(forward, images, LABELS, layout=gc.channels_first, guided=True)
    assert found.cam.shape == (2, 2, 25, 25)

    def run(x, layers):
        for layer in layers:
            x = layer(x)
        return x

    activations = jax.vmap(layers[0])(images)
    in_flaxs_order = activations.transpose(0, 2, 3, 1)
    after = jax.vmap(lambda a: run(a.transpose(2, 0, 1), layers[1:]))
    assert_close(found.cam, maps_by_hand(in_flaxs_order, after), 1e-6)
    ruled = [gc.guided(jax.nn.relu) if layer is jax.nn.relu else layer for layer in layers]
    assert_close(found.guided_backprop, pixels_by_hand(images, jax.vmap(lambda x: run(x, ruled))), 1e-6)
    # The arrays are variables: a change of theirs is seen, and they are no constants of the program.
    twice = jax.tree.map(lambda leaf: 2 * leaf, forward)
    assert np.abs(twice({}, images[0])[0] - forward({}, images[0])[0]).max() > 1e-3


@pytest.mark.parametrize(
    ("name", "layer", "options", "kinds"),
    [
        ("MobileNetV2", "block_13_expand_relu", {"alpha": 0.35}, {"relu6": 35}),
        ("ResNet50V2", "conv4_block5_out", {}, {"relu": 49}),
    ],
)
def test_networks_of_keras_applications(name, layer, options, kinds, guided_relu, monkeypatch):
    """On Keras's JAX backend, cut in two by Keras itself."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    keras = library("keras")
    if keras.backend.backend() != "jax":
        pytest.skip(f"Keras was imported with its backend {keras.backend.backend()}")
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3), classes=5, **options)
    before = [np.array(value) for value in model.get_weights()]
    cut = model.get_layer(layer).output
    features, head = keras.Model(model.inputs, cut), keras.Model(cut, model.output)
    images = jnp.asarray(random_images(2, 64))
    stages = {"features": lambda x: features(x[None])[0], "head": lambda a: head(a[None])[0]}
    forward = gc.tapped_functions(stages, "features")
    assert gc.rectifiers(forward, images[0]) == kinds
    found = gc.explain(forward, images, LABELS, guided=True)
    assert_close(found.outputs, model(images), 1e-6)
    activations = features(images)
    assert activations.shape[1:3] == (4, 4)
    assert_close(found.cam, maps_by_hand(activations, head), 1e-6)
    guided_relu()
    assert_close(found.guided_backprop, jax.jit(lambda x: pixels_by_hand(x, model))(images), 1e-6)
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)

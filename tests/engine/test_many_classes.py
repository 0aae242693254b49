"""Many classes by the summed kernel: equal to the gradients that they stand for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.errors import InputError
from gradcam_jax.models.alexnet import AlexNet, alexnet_torchvision
from gradcam_jax.models.efficientnet_lite import EfficientNetLite, Stage
from gradcam_jax.models.layers import max_pool_ceil
from gradcam_jax.models.vgg import VGG
from tests.comparison import assert_close, kaiming_variables, random_images

SMALL = {"convolutions": (1, 1, 2), "channels": (4, 6, 8), "hidden": 16, "classes": 9}
CHANNELS = (4, 6, 8, 8, 6)
MODELS = {
    "vgg": (VGG(**SMALL, input_size=32), "relu3_2", 32, "fc6"),
    "vgg, odd maps": (VGG(**SMALL, input_size=30), "relu3_2", 30, "fc6"),
    "vgg, after the pool": (VGG(**SMALL, input_size=32), "pool3", 32, "fc6"),
    "vgg, averaged grid": (VGG(**SMALL, input_size=None), "relu3_2", 76, "fc6"),
    "alexnet, overlapping pools": (
        AlexNet(CHANNELS, 0, 2, True, max_pool_ceil, 99, classes=9), "relu5", 99, "fc6"
    ),
    "alexnet, torchvision": (alexnet_torchvision(channels=CHANNELS, classes=9), "relu5", 90, "fc6"),
    "efficientnet": (
        EfficientNetLite((Stage(1, 3, 1, 1, 8), Stage(1, 3, 2, 2, 8)), classes=9), "head_relu", 32, "classifier"
    ),
}  # fmt: skip


def build(name):
    model, layer, size, dense = MODELS[name]
    variables = kaiming_variables(variable_shapes(model, jax.ShapeDtypeStruct((size, size, 3), jnp.float32)))
    if "batch_stats" in variables:  # a variance is not negative
        variables = variables | {"batch_stats": jax.tree.map(lambda x: np.abs(x) + 1, variables["batch_stats"])}
    return model, variables, layer, jnp.asarray(random_images(2, size)), dense


@pytest.mark.parametrize("name", MODELS)
def test_equal_to_the_gradients(name):
    model, variables, layer, images, dense = build(name)
    forward = gc.tapped(model, variables, layer)
    summed = gc.with_summed_head(forward, images[0])
    assert summed.dense == dense
    every = jnp.broadcast_to(jnp.arange(9), (2, 9))
    labels = jnp.array([[3, 0, 8], [1, 1, 5]])
    expected = gc.explain(forward, images, every)
    whole = gc.explain(summed, images, gc.all_classes)
    np.testing.assert_array_equal(whole.targets, every)
    for name in ("outputs", "scores", "cam"):
        assert_close(getattr(whole, name), getattr(expected, name))
    some = gc.explain(summed, images, labels)
    assert_close(some.cam, np.take_along_axis(expected.cam, labels[:, :, None, None], 1))
    assert_close(some.scores, np.take_along_axis(expected.scores, labels, 1))
    highest = gc.explain(summed, images, gc.top_k(2))
    np.testing.assert_array_equal(highest.targets, jax.lax.top_k(expected.outputs, 2)[1])
    assert_close(highest.cam, np.take_along_axis(expected.cam, highest.targets[:, :, None, None], 1))
    assert float(np.abs(expected.cam).max()) > 1e-3


def test_a_negative_class_stands_for_no_target():
    model, variables, layer, images, _ = build("vgg")
    summed = gc.with_summed_head(gc.tapped(model, variables, layer), images[0])
    explanation = gc.explain(summed, images, jnp.array([[-2, 3], [4, -2]]))
    for index, target in ((0, 0), (1, 1)):
        assert float(jnp.abs(explanation.cam[index, target]).max()) == 0
        assert float(explanation.scores[index, target]) == 0
    assert float(jnp.abs(explanation.cam[0, 1]).max()) > 0


@pytest.mark.parametrize("layer", ["conv3_2", "relu3_1", "relu1_1"])
def test_a_layer_with_more_than_pooling_after_it_is_an_error(layer):
    model, variables, _, images, _ = build("vgg")
    with pytest.raises(InputError, match="more than pooling"):
        gc.with_summed_head(gc.tapped(model, variables, layer), images[0])


def test_a_layer_without_a_map_or_a_head_is_an_error():
    model, variables, _, images, _ = build("vgg")
    with pytest.raises(InputError, match="no spatial extent"):
        gc.with_summed_head(gc.tapped(model, variables, "fc7"), images[0])
    model, variables, _, images, _ = build("efficientnet")
    headless = model.clone(classes=None)
    with pytest.raises(InputError, match="there is none"):
        gc.with_summed_head(gc.tapped(headless, variables, "head_relu"), images[0])

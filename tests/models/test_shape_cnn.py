"""The small VGG for shapes: its layers, its smoothing by hand-computed cases, guiding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.errors import InputError
from gradcam_jax.interception.linen import tapped
from gradcam_jax.interception.tapped import layer_shapes
from gradcam_jax.models.shape_cnn import ShapeCnn, gaussian_blur
from gradcam_jax.models.vqa import vqa_small
from tests.comparison import assert_close, kaiming_variables, random_images

MODEL = ShapeCnn()


def test_layers_are_named_as_in_vgg_and_the_map_is_16_by_16():
    image = jax.ShapeDtypeStruct((64, 64, 3), jnp.float32)
    layers = layer_shapes(tapped(MODEL, variable_shapes(MODEL, image)), image)
    assert {name: leaf.shape for name, leaf in layers.items()} == {
        "conv1_1": (64, 64, 8), "relu1_1": (64, 64, 8), "pool1": (32, 32, 8),
        "conv2_1": (32, 32, 16), "relu2_1": (32, 32, 16), "pool2": (16, 16, 16),
        "conv3_1": (16, 16, 32), "relu3_1": (16, 16, 32),
        "smooth": (16, 16, 32), "peak": (32,), "fc": (64,), "relu_fc": (64,),
    }  # fmt: skip


def test_a_point_is_smoothed_to_a_gaussian():
    image = jnp.zeros((15, 15, 1)).at[7, 7, 0].set(1.0)
    smooth = np.asarray(gaussian_blur(image, 1.5))[..., 0]
    across, down = np.meshgrid(np.arange(15) - 7, np.arange(15) - 7)
    expected = np.exp(-(across**2 + down**2) / (2 * 1.5**2)) / (2 * np.pi * 1.5**2)
    assert_close(smooth, expected)
    np.testing.assert_allclose(smooth.sum(), 1, rtol=1e-4)  # what the picture's edge cuts off


def test_an_outline_is_densest_inside():
    ring = np.zeros((16, 16, 1), np.float32)
    ring[4:11, 4] = ring[4:11, 10] = ring[4, 4:11] = ring[10, 4:11] = 1
    smooth = np.asarray(gaussian_blur(jnp.asarray(ring), 2.5))[..., 0]
    assert np.unravel_index(smooth.argmax(), smooth.shape) == (7, 7)


def test_leading_axes_are_free():
    images = jnp.asarray(random_images(6, 32)).reshape(2, 3, 32, 32, 3)
    variables = kaiming_variables(variable_shapes(MODEL, images[0, 0]))
    features = jnp.asarray(MODEL.apply(variables, images))
    assert features.shape == (2, 3, 64)
    assert_close(features[1, 2], MODEL.apply(variables, images[1, 2]), 2e-6)


def test_what_is_not_an_rgb_image_is_an_error():
    with pytest.raises(InputError, match="ShapeCnn takes images"):
        variable_shapes(MODEL, jnp.ones((64, 64, 1)))


def test_the_model_for_easy_vqa_is_small_enough_to_ship():
    model = vqa_small(words=27, answers=13)
    arguments = jnp.zeros((64, 64, 3)), jnp.zeros(9, jnp.int32), jnp.int32(9)
    shapes = variable_shapes(model, *arguments)
    assert sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes)) < 150_000

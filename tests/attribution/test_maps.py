"""Grad-CAM by hand, against captum's published numbers, and where it must equal CAM."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax import (
    all_negative,
    counterfactual_grad_cam,
    grad_cam,
    guided,
    guided_grad_cam,
    input_grad,
    layer_grads,
    tapped_functions,
)
from gradcam_jax.attribution.maps import channel_weights, gradient_times_input
from tests.comparison import assert_close

IMAGE = jnp.arange(16, dtype=jnp.float32).reshape(4, 4, 1)


def captum_stages(rule=jax.nn.relu):
    """Captum's ``BasicModel_ConvNet_One_Conv``: a 3x3 convolution of ones, ReLU, one linear layer, ReLU."""

    def convolve(x):
        axes = ("NHWC", "HWIO", "NHWC")
        kernel = jnp.ones((3, 3, 1, 2), jnp.float32)
        windows = jax.lax.conv_general_dilated(x[None], kernel, (1, 1), "VALID", dimension_numbers=axes)[0]
        return windows + jnp.array([-50.0, -75.0]).reshape(1, 1, 2)

    def head(x):
        flat = jnp.moveaxis(x, -1, 0).reshape(-1)  # channels first, as torch flattens
        return rule(jnp.concatenate([jnp.ones(5), -jnp.ones(3)]) @ flat)

    return {"conv1": convolve, "relu1": rule, "head": head}


def the_score(outputs):
    return outputs


def test_equation_1_and_2_by_hand():
    activations = jnp.array([[[1.0, 10.0], [2.0, 20.0]], [[3.0, 30.0], [4.0, 40.0]]])
    gradients = jnp.array([[[4.0, 0.0], [0.0, -1.0]], [[0.0, -1.0], [0.0, 0.0]]])
    np.testing.assert_array_equal(channel_weights(gradients), [1.0, -0.5])
    np.testing.assert_array_equal(grad_cam(activations, gradients, rectify=False), [[-4.0, -8.0], [-12.0, -16.0]])
    np.testing.assert_array_equal(grad_cam(activations, gradients), np.zeros((2, 2)))
    np.testing.assert_array_equal(counterfactual_grad_cam(activations, gradients), [[4.0, 8.0], [12.0, 16.0]])
    assert all_negative(grad_cam(activations, gradients, rectify=False))
    assert not all_negative(counterfactual_grad_cam(activations, gradients))


def test_the_originals_sum_is_the_mean_times_the_number_of_positions():
    gradients = jnp.asarray(np.random.default_rng(0).standard_normal((14, 14, 8)), jnp.float32)
    assert_close(channel_weights(gradients) * 196, gradients.sum(axis=(0, 1)))


def test_captums_golden_numbers():
    # Captum 0.9.0, tests/attr/layer/test_grad_cam.py.
    forward = tapped_functions(captum_stages(), ("conv1", "relu1"))
    _, activations, gradients = layer_grads(forward, the_score, IMAGE)
    conv = activations["conv1"] * channel_weights(gradients["conv1"]).reshape(1, 1, 2)
    np.testing.assert_array_equal(conv[..., 0], [[-3.75, 3], [23.25, 30]])
    np.testing.assert_array_equal(conv[..., 1], [[15, 10.5], [-3, -7.5]])
    cams = {name: grad_cam(activations[name], gradients[name], rectify=False) for name in activations}
    np.testing.assert_array_equal(cams["conv1"], [[11.25, 13.5], [20.25, 22.5]])
    np.testing.assert_array_equal(cams["relu1"], [[0, 4], [28, 32.5]])


def test_captums_golden_guided_grad_cam():
    # Captum 0.9.0, tests/attr/test_guided_grad_cam.py, which enlarges the map to its nearest samples.
    _, activations, gradients = layer_grads(tapped_functions(captum_stages(), "relu1"), the_score, IMAGE)
    cam = grad_cam(activations["relu1"], gradients["relu1"])
    pixels = input_grad(tapped_functions(captum_stages(guided(jax.nn.relu)), ()), the_score, IMAGE)
    fine = guided_grad_cam(jnp.repeat(jnp.repeat(cam, 2, axis=0), 2, axis=1), pixels)
    expected = [[0, 0, 4, 4], [0, 0, 12, 8], [28, 84, 97.5, 65], [28, 56, 65, 32.5]]
    np.testing.assert_array_equal(fine[..., 0], expected)


def test_gradient_times_input_by_hand():
    activations = jnp.array([[[1.0, 10.0], [2.0, 20.0]], [[3.0, 30.0], [4.0, 40.0]]])
    gradients = jnp.array([[[4.0, 0.0], [0.0, -1.0]], [[0.0, 1.0], [0.0, 0.0]]])
    np.testing.assert_array_equal(gradient_times_input(activations, gradients), [[4.0, -20.0], [30.0, 0.0]])
    rectified = gradient_times_input(activations, gradients, rectify=True)
    np.testing.assert_array_equal(rectified, [[4.0, 0.0], [30.0, 0.0]])
    np.testing.assert_array_equal(gradient_times_input(activations[0], gradients[0]), [4.0, -20.0])


def test_gradient_times_input_is_grad_cam_where_gradients_are_constant():
    rng = np.random.default_rng(0)
    activations = jnp.asarray(rng.standard_normal((3, 4, 5)), jnp.float32)
    gradients = jnp.broadcast_to(jnp.asarray(rng.standard_normal(5), jnp.float32), (3, 4, 5))
    cam = grad_cam(activations, gradients, rectify=False)
    assert_close(gradient_times_input(activations, gradients), cam, 1e-6)


@pytest.mark.parametrize("method", [grad_cam, counterfactual_grad_cam, gradient_times_input])
def test_bfloat16_activations_give_a_float32_map(method):
    activations = jnp.ones((2, 2, 3), jnp.bfloat16)
    assert method(activations, activations).dtype == jnp.float32


@pytest.mark.parametrize("shape", [(4,), (2, 4)])
def test_a_layer_without_positions_is_an_error(shape):
    with pytest.raises(ValueError, match="spatial extent"):
        grad_cam(jnp.ones(shape), jnp.ones(shape))


def test_activations_and_gradients_of_two_layers_are_an_error():
    with pytest.raises(ValueError, match="one shape"):
        grad_cam(jnp.ones((2, 2, 3)), jnp.ones((4, 4, 3)))

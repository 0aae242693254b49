"""Operations counted from the model: by hand for single operations, loops and branches, and for VGG-16."""

import jax
import jax.numpy as jnp
import pytest

from gradcam_jax import zoo
from gradcam_jax.experiments.benchmark.operations import count_operations
from gradcam_jax.experiments.benchmark.own import PROGRAMS
from gradcam_jax.interception.linen import tapped


def count(function, *arguments):
    return count_operations(jax.make_jaxpr(function)(*arguments))


def convolve(x, kernel, stride=1, groups=1):
    axes = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), "SAME", dimension_numbers=axes, feature_group_count=groups
    )


def test_a_convolution_counts_its_kernel_for_every_element_of_the_result():
    image, kernel = jnp.ones((2, 8, 8, 4)), jnp.ones((3, 3, 4, 6))
    assert count(convolve, image, kernel) == 2 * (2 * 8 * 8 * 6) * (3 * 3 * 4)
    assert count(lambda x: convolve(x, jnp.ones((3, 3, 1, 8)), groups=4), image) == 2 * (2 * 8 * 8 * 8) * (3 * 3)


def test_the_gradient_of_a_strided_convolution_counts_as_much_as_the_convolution():
    image, kernel = jnp.ones((1, 8, 8, 4)), jnp.ones((2, 2, 4, 6))
    forward = 2 * (4 * 4 * 6) * (2 * 2 * 4)
    assert count(lambda x: convolve(x, kernel, stride=2), image) == forward
    gradient = jax.grad(lambda x: convolve(x, kernel, stride=2).sum())
    assert count(gradient, image) == forward  # the forward pass is linear, so nothing depends on its result


def test_a_loop_counts_as_often_as_it_runs():
    matrix = jnp.ones((4, 4))
    once = 2 * 4**3
    assert count(lambda xs: jax.lax.map(lambda x: x @ matrix, xs), jnp.ones((5, 4, 4))) == 5 * once
    assert count(lambda x: jax.lax.fori_loop(0, 7, lambda _, y: y @ matrix, x), matrix) == 7 * once
    with pytest.raises(ValueError, match="a known length"):
        count(lambda x: jax.lax.while_loop(lambda y: y.sum() < 9, lambda y: y @ matrix, x), matrix)


def test_of_branches_the_most_expensive_counts_and_what_is_not_used_counts_as_nothing():
    matrix = jnp.ones((4, 4))
    once = 2 * 4**3
    branches = (lambda x: x @ matrix, lambda x: x @ matrix @ matrix)
    assert count(lambda x: jax.lax.cond(x[0, 0] > 0, *branches, x), matrix) == 2 * once
    assert count(lambda x: (x @ x, x + 1)[1], matrix) == 0
    assert count(jax.jit(lambda x: jax.jit(lambda y: (y @ y, y + 1))(x)[1]), matrix) == 0


def vgg16_counts(work, batch_size):
    entry = zoo.find("vgg16")
    (image,) = zoo.example_inputs(entry)
    model = entry.build()
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *image.shape))))
    forward = tapped(model, variables, entry.layer)
    images = jax.ShapeDtypeStruct((batch_size, *image.shape), jnp.float32)
    labels = jax.ShapeDtypeStruct((batch_size, 1), jnp.int32)
    return count_operations(jax.jit(PROGRAMS[work]).trace(forward, images, labels).jaxpr)


# Height and width, input channels, output channels of each 3x3 convolution: Simonyan and Zisserman, table 1, D.
_CONVOLUTIONS = (
    (224, 3, 64), (224, 64, 64), (112, 64, 128), (112, 128, 128), (56, 128, 256), (56, 256, 256), (56, 256, 256),
    (28, 256, 512), (28, 512, 512), (28, 512, 512), (14, 512, 512), (14, 512, 512), (14, 512, 512),
)  # fmt: skip
CONVOLUTIONS = sum(2 * side * side * 9 * inputs * outputs for side, inputs, outputs in _CONVOLUTIONS)
CONNECTED = 2 * (25088 * 4096 + 4096 * 4096 + 4096 * 1000)
MAP = 2 * 14 * 14 * 512
BATCH = 2


def test_vgg16_counts_by_hand():
    """30.9 GFLOP a photo forward; Grad-CAM goes back through the head, guided gradients through everything."""
    forward = CONVOLUTIONS + CONNECTED
    assert forward / 1e9 == pytest.approx(30.94, abs=0.005)
    assert vgg16_counts("forward", BATCH) == BATCH * forward
    assert vgg16_counts("grad_cam", BATCH) == pytest.approx(BATCH * (forward + CONNECTED + MAP), rel=1e-6)
    assert vgg16_counts("guided_backprop", BATCH) == pytest.approx(BATCH * 2 * forward, rel=1e-3)

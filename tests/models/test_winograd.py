"""Winograd's convolution against the plain sum in float64, its gradients, and the layer that uses it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.engine.prepared import prepared
from gradcam_jax.interception.linen import tapped
from gradcam_jax.models import strided
from gradcam_jax.models.convolution import Convolution, PointwiseConv
from gradcam_jax.models.vgg import VGG
from gradcam_jax.models.winograd import (
    convolve_3x3,
    suits_winograd,
    transform_kernel,
    winograd_convolution,
)
from tests.comparison import assert_close, kaiming_variables, random_images

# Each output is a sum of 9 * channels float32 products: no order of summing them is exact.
BOUND = 2e-6


def plain_convolution(x, kernel):
    return strided.plain_convolution(x, kernel, 1, ((1, 1), (1, 1)))


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def exact(x, kernel):
    """The convolution by loops over the kernel, in float64."""
    *lead, height, width, _ = x.shape
    padded = np.pad(np.asarray(x, np.float64), [(0, 0)] * len(lead) + [(1, 1), (1, 1), (0, 0)])
    taps = [
        padded[..., i : i + height, j : j + width, :] @ np.asarray(kernel[i, j], np.float64)
        for i in range(3)
        for j in range(3)
    ]
    return np.sum(taps, axis=0)


@pytest.mark.parametrize(
    ("shape", "outputs"),
    [
        ((2, 2, 1), 1), ((1, 1, 3), 2), ((1, 7, 4), 3), ((9, 6, 8), 16), ((7, 7, 5), 4), ((3, 16, 10, 6), 5),
        ((2, 3, 8, 11, 4), 7), ((14, 14, 512), 64), ((28, 30, 64), 32), ((50, 46, 32), 32),
    ],
)  # fmt: skip
def test_equals_the_sum_in_float64(shape, outputs):
    x, kernel = normal(*shape), normal(3, 3, shape[-1], outputs, seed=1)
    expected = exact(x, kernel)
    assert_close(winograd_convolution(jnp.asarray(x), jnp.asarray(kernel)), expected, BOUND)
    assert_close(
        winograd_convolution(jnp.asarray(x), jnp.asarray(kernel), transform_kernel(jnp.asarray(kernel))),
        expected,
        BOUND,
    )
    assert_close(plain_convolution(jnp.asarray(x), jnp.asarray(kernel)), expected, BOUND)


def test_is_exact_in_float64():
    with jax.enable_x64(True):
        x, kernel = (jnp.asarray(normal(*shape), jnp.float64) for shape in ((10, 9, 40), (3, 3, 40, 36)))
        assert_close(convolve_3x3(x, kernel), exact(x, kernel), 1e-14)


@pytest.mark.parametrize("ready", [False, True])
@pytest.mark.parametrize("shape", [(12, 9, 32), (2, 9, 14, 32), (50, 46, 32)])
def test_gradients_equal_the_plain_ones(shape, ready):
    x, kernel = jnp.asarray(normal(*shape)), jnp.asarray(normal(3, 3, 32, 40, seed=1))
    assert suits_winograd(x, kernel)
    transformed = transform_kernel(kernel) if ready else None
    y, pull_back = jax.vjp(lambda x, kernel: convolve_3x3(x, kernel, transformed), x, kernel)
    expected, pull_back_plain = jax.vjp(plain_convolution, x, kernel)
    assert_close(y, expected, BOUND)
    gradient = jnp.asarray(normal(*y.shape, seed=2))
    for ours, theirs in zip(pull_back(gradient), pull_back_plain(gradient), strict=True):
        assert_close(ours, theirs, BOUND)


def test_batches_targets_and_second_derivatives():
    x, kernel = jnp.asarray(normal(3, 8, 9, 32)), jnp.asarray(normal(3, 3, 32, 32, seed=1))
    assert_close(jax.jit(jax.vmap(convolve_3x3, (0, None)))(x, kernel), plain_convolution(x, kernel), BOUND)
    gradients = jnp.asarray(normal(2, 8, 9, 32, seed=2))

    def pulled(convolve):
        _, pull_back = jax.vjp(lambda x: convolve(x, kernel), x[0])
        return jax.vmap(pull_back)(gradients)[0]

    assert_close(pulled(convolve_3x3), pulled(plain_convolution), BOUND)

    def penalty(convolve):
        def energy(kernel):
            return jnp.sum(jax.grad(lambda x: jnp.sum(convolve(x, kernel) ** 3))(x[0]) ** 2)

        return jax.grad(energy)(kernel)

    assert_close(
        penalty(convolve_3x3), penalty(plain_convolution), 1e-5
    )  # three convolutions, one after the other


def test_other_platforms_keep_their_convolution():
    x, kernel = jnp.zeros((16, 16, 64)), jnp.zeros((3, 3, 64, 64))
    traced = jax.jit(convolve_3x3).trace(x, kernel)
    assert "stablehlo.convolution" not in traced.lower(lowering_platforms=("cpu",)).as_text()
    for platform in ("cuda", "tpu"):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert "stablehlo.convolution" in text
        assert "dot_general" not in text


@pytest.mark.parametrize(
    ("shape", "kernel", "dtype"),
    [
        ((7, 7, 64), (3, 3, 64, 64), jnp.float32), ((224, 224, 64), (3, 3, 64, 64), jnp.float32),
        ((56, 56, 3), (3, 3, 3, 64), jnp.float32), ((56, 56, 64), (3, 3, 64, 64), jnp.bfloat16),
    ],
)  # fmt: skip
def test_shapes_that_gain_nothing_are_left_alone(shape, kernel, dtype):
    assert not suits_winograd(jnp.zeros(shape, dtype), jnp.zeros(kernel, dtype))


def test_a_pointwise_convolution_is_that_of_flax():
    x = jnp.asarray(normal(2, 5, 4, 6))
    kernel = {"params": {"kernel": jnp.asarray(normal(1, 1, 6, 8, seed=1))}}
    assert_close(PointwiseConv(8).apply(kernel, x), nn.Conv(8, (1, 1), use_bias=False).apply(kernel, x), 1e-6)


def wide_vgg():
    model = VGG(convolutions=(1, 2), channels=(32, 32), hidden=8, classes=5, input_size=16)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.ones((16, 16, 3)))
    return model, kaiming_variables(shapes)


def test_the_layer_has_the_parameters_of_flax_and_no_others():
    _, variables = wide_vgg()
    assert set(variables) == {"params"}
    assert {name: leaf.shape for name, leaf in variables["params"]["conv2_2"].items()} == {
        "kernel": (3, 3, 32, 32),
        "bias": (32,),
    }


def test_prepared_kernels_change_nothing_but_the_work():
    model, variables = wide_vgg()
    image = jnp.asarray(random_images(1, 16)[0])
    plain = tapped(model, variables, "relu2_2")
    ready = prepared(plain, image)
    kernels = ready.variables["variables"]["prepared"]
    assert {name: leaf["kernel_0"].shape for name, leaf in kernels.items()} == {
        "conv2_1": (4, 4, 32, 32),
        "conv2_2": (4, 4, 32, 32),
    }

    def run(forward):
        return forward({}, image)

    for ours, theirs in zip(jax.tree.leaves(run(ready)), jax.tree.leaves(run(plain)), strict=True):
        assert_close(ours, theirs, 1e-6)
    flops = [jax.jit(run).lower(forward).compile().cost_analysis()["flops"] for forward in (ready, plain)]
    assert flops[0] < flops[1]


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("groups", [1, 2])
def test_groups_are_those_of_xla(groups, size):
    x = jnp.asarray(normal(2, 13, 13, 64))
    layer = Convolution(64, size, groups=groups)
    variables = kaiming_variables(jax.eval_shape(layer.init, jax.random.key(0), x))
    expected = jax.lax.conv_general_dilated(
        x, variables["params"]["kernel"], (1, 1), "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups,
    ) + variables["params"]["bias"].reshape(1, 1, 1, -1)  # fmt: skip
    assert_close(layer.apply(variables, x), expected, BOUND)

"""The layers that Flax leaves out: by loops in numpy, and against XLA's own convolution."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.models.batch_norm import FrozenBatchNorm
from gradcam_jax.models.layers import (
    adaptive_mean_pool,
    depthwise_convolution,
    local_response_norm,
    max_pool,
    max_pool_ceil,
    max_pool_padded,
)
from gradcam_jax.models.strided import strided_convolution
from tests.comparison import assert_close

RANDOM = np.random.default_rng(0)

CONVOLUTIONS = [  # side of the kernel, stride, zeros before and after
    (11, 4, (2, 2)), (7, 2, (3, 3)), (3, 2, (1, 1)), (3, 2, (0, 1)), (5, 1, (2, 2)), (5, 3, (0, 0)),
    (3, 3, (0, 0)), (2, 4, (0, 0)), (1, 1, (0, 0)),
]  # fmt: skip


def normal(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    ("length", "floor", "ceil"), [(54, 26, 27), (55, 27, 27), (13, 6, 6), (3, 1, 1), (4, 1, 2)]
)
def test_pools_of_3_by_2_cover_what_they_should(length, floor, ceil):
    x = normal(length, length, 2)
    assert max_pool(jnp.asarray(x), 3, 2).shape == (floor, floor, 2)
    pooled = max_pool_ceil(jnp.asarray(x), 3, 2)
    expected = [[x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max((0, 1)) for j in range(ceil)] for i in range(ceil)]
    np.testing.assert_array_equal(pooled, expected)


@pytest.mark.parametrize(
    "pool",
    [max_pool, max_pool_ceil, functools.partial(max_pool_padded, padding=1)],
    ids=["floor", "ceil", "padded"],
)
@pytest.mark.parametrize("shape", [(8, 6, 3), (7, 9, 3), (2, 5, 4, 2)])
@pytest.mark.parametrize(("window", "stride"), [(2, 2), (3, 3), (3, 2), (4, 1), (2, 3)])
def test_pools_and_their_gradients_equal_xlas(pool, shape, window, stride):
    x = jnp.asarray(np.maximum(normal(*shape), 0))  # a ReLU's zeros: equal values in most windows
    y, pull_back = jax.vjp(lambda x: pool(x, window, stride), x)
    before = 0 if pool in (max_pool, max_pool_ceil) else 1
    ends = [(y.shape[axis] - 1) * stride + window - shape[axis] - before for axis in (-3, -2)]
    edges = [(0, 0)] * (x.ndim - 3) + [(before, max(after, 0)) for after in ends] + [(0, 0)]
    sizes, steps = ((*(1 for _ in shape[:-3]), side, side, 1) for side in (window, stride))

    def reference(x):
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, sizes, steps, edges)

    expected, pull_back_reference = jax.vjp(reference, x)
    np.testing.assert_array_equal(y, expected)
    gradient = jnp.asarray(normal(*y.shape))
    assert_close(pull_back(gradient)[0], pull_back_reference(gradient)[0], 1e-6)


def test_a_pools_window_of_more_than_8_pixels_is_an_error():
    assert max_pool(jnp.zeros((9, 9, 1)), 8, 1).shape == (2, 2, 1)
    with pytest.raises(InputError, match="window of at most 8 pixels, got 9"):
        max_pool(jnp.zeros((9, 9, 1)), 9, 1)


@pytest.mark.parametrize(("size", "stride", "padding"), CONVOLUTIONS)
def test_strided_convolution_and_its_gradients_equal_xlas(size, stride, padding):
    x, kernel = jnp.asarray(normal(2, 23, 26, 3)), jnp.asarray(normal(size, size, 3, 4))
    edges = (padding, padding)
    y, pull_back = jax.vjp(lambda x, kernel: strided_convolution(x, kernel, stride, edges), x, kernel)

    def reference(x, kernel):
        axes = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (stride, stride), edges, dimension_numbers=axes)

    expected, pull_back_reference = jax.vjp(reference, x, kernel)
    assert_close(y, expected, 1e-6)
    gradient = jnp.asarray(normal(*y.shape))
    for found, wanted in zip(pull_back(gradient), pull_back_reference(gradient), strict=True):
        assert_close(found, wanted, 1e-6)


def test_other_platforms_keep_their_gradient_of_a_strided_convolution():
    x, kernel = jnp.zeros((1, 32, 32, 3)), jnp.zeros((11, 11, 3, 8))

    def energy(x):
        return jnp.sum(strided_convolution(x, kernel, 4, ((0, 0), (0, 0))) ** 2)

    traced = jax.jit(jax.grad(energy)).trace(x)
    for platform, dilated in (("cpu", False), ("cuda", True), ("tpu", True)):
        assert ("lhs_dilate = [4, 4]" in traced.lower(lowering_platforms=(platform,)).as_text()) == dilated


@pytest.mark.parametrize(("height", "width", "size"), [(7, 10, 7), (13, 9, 6), (3, 4, 7)])
def test_adaptive_mean_pool_by_loops(height, width, size):
    x = normal(2, height, width, 3)

    def cells(length):
        return [(i * length // size, -(-(i + 1) * length // size)) for i in range(size)]

    expected = [[x[:, a:b, c:d].mean((1, 2)) for c, d in cells(width)] for a, b in cells(height)]
    assert_close(adaptive_mean_pool(jnp.asarray(x), size), np.moveaxis(np.array(expected), 2, 0), 1e-6)


def test_adaptive_mean_pool_leaves_its_own_size_alone():
    x = jnp.asarray(normal(7, 7, 2))
    assert adaptive_mean_pool(x, 7) is x


def test_local_response_norm_by_loops():
    x = normal(2, 3, 9) * 30
    expected = np.empty_like(x)
    for channel in range(9):
        window = x[..., max(channel - 2, 0) : channel + 3]
        expected[..., channel] = x[..., channel] / (1 + 1e-4 / 5 * (window**2).sum(-1)) ** 0.75
    assert_close(local_response_norm(jnp.asarray(x), size=5, alpha=1e-4, beta=0.75, k=1.0), expected, 1e-6)


@pytest.mark.parametrize(
    ("height", "width", "size", "stride"),
    [(7, 9, 3, 1), (8, 8, 3, 2), (9, 6, 5, 2), (7, 7, 5, 1), (5, 4, 5, 2), (1, 1, 3, 2), (3, 2, 5, 2)],
)
def test_depthwise_convolution_and_its_gradients_equal_xlas(height, width, size, stride):
    x, kernel = jnp.asarray(normal(2, height, width, 4)), jnp.asarray(normal(size, size, 4))

    def reference(x, kernel):
        axes = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            x, kernel[:, :, None], (stride, stride), "SAME", dimension_numbers=axes, feature_group_count=4
        )

    expected, pull_back = jax.vjp(reference, x, kernel)
    actual, pull_back_ours = jax.vjp(lambda x, kernel: depthwise_convolution(x, kernel, stride), x, kernel)
    assert_close(actual, expected, 1e-6)
    gradient = jnp.asarray(normal(*expected.shape))
    for ours, theirs in zip(pull_back_ours(gradient), pull_back(gradient), strict=True):
        assert_close(ours, theirs, 2e-6)
    one = depthwise_convolution(x[0], kernel, stride)
    assert_close(one, expected[0], 1e-6)


def test_a_depthwise_convolution_keeps_the_image_only_where_the_kernel_is_differentiated():
    x, kernel = jnp.asarray(normal(7, 9, 4)), jnp.asarray(normal(3, 3, 4))
    _, image_vjp = jax.vjp(lambda x: depthwise_convolution(x, kernel, 1), x)
    assert all(leaf.size <= kernel.size for leaf in jax.tree.leaves(image_vjp))
    _, kernel_vjp = jax.vjp(lambda kernel: depthwise_convolution(x, kernel, 1), kernel)
    assert any(leaf.shape == x.shape for leaf in jax.tree.leaves(kernel_vjp))
    assert kernel_vjp(jnp.ones(x.shape))[0].shape == kernel.shape


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-6), (jnp.bfloat16, 4e-3)])
def test_frozen_batch_norm_is_flaxs_with_given_statistics(dtype, tolerance):
    ours, theirs = FrozenBatchNorm(epsilon=1e-3), nn.BatchNorm(use_running_average=True, epsilon=1e-3)
    x = jnp.asarray(normal(2, 5, 3, 4), dtype)
    variables = {
        "params": {"scale": jnp.asarray(normal(4), dtype), "bias": jnp.asarray(normal(4), dtype)},
        "batch_stats": {"mean": jnp.asarray(normal(4)), "var": jnp.asarray(normal(4) ** 2)},
    }
    actual, own = ours.apply(variables, x), ours.init(jax.random.key(0), x)
    with jax.numpy_dtype_promotion("standard"):  # Flax mixes bfloat16 with float32 statistics
        expected, flaxs = theirs.apply(variables, x), theirs.init(jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, own) == jax.tree.map(jnp.shape, flaxs)
    assert actual.dtype == expected.dtype == dtype
    assert_close(actual.astype(np.float32), expected.astype(np.float32), tolerance)

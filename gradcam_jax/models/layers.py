"""Layers that Flax lacks, each as Caffe, Torch or TensorFlow computes it.

Images are ``(..., H, W, C)``, with any number of leading axes.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from gradcam_jax.errors import InputError
from gradcam_jax.models.parameter import parameter
from gradcam_jax.models.strided import same_padding
from gradcam_jax.models.window_maximum import window_maximum


class FunctionLayer(nn.Module):
    """A function without parameters as a layer, for example a pooling: it can be tapped by its name.

    Attributes:
        function: What the layer computes.
    """

    function: Callable[[jax.Array], jax.Array]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Applies the function."""
        return self.function(x)


class Relu(FunctionLayer):
    """A rectifier as a layer."""

    function: Callable[[jax.Array], jax.Array] = jax.nn.relu


def max_pool(x: jax.Array, window: int, stride: int) -> jax.Array:
    """Returns the maximum over the windows that fit into the image (torch's and Flax's rule).

    Args:
        x: ``(..., H, W, C)``.
        window: Side of the window, in pixels.
        stride: Step between windows, in pixels.

    Returns:
        ``(..., floor((H - window) / stride) + 1, ..., C)``.
    """
    return window_maximum(x, window, stride)


def max_pool_padded(x: jax.Array, window: int, stride: int, padding: int) -> jax.Array:
    """Returns the maximum over windows that may extend past every edge (torch's rule with a padding).

    Args:
        x: ``(..., H, W, C)``.
        window: Side of the window, in pixels.
        stride: Step between windows, in pixels.
        padding: How far the first and the last window may extend past the edge, in pixels.

    Returns:
        ``(..., floor((H + 2 * padding - window) / stride) + 1, ..., C)``.
    """
    edge = (padding, padding)
    return window_maximum(_pad_lowest(x, edge, edge), window, stride)


def max_pool_ceil(x: jax.Array, window: int, stride: int) -> jax.Array:
    """Returns the maximum over windows, the last of which may extend past the edge (Caffe's rule).

    Args:
        x: ``(..., H, W, C)``.
        window: Side of the window, in pixels.
        stride: Step between windows, in pixels; at most the window.

    Returns:
        ``(..., ceil((H - window) / stride) + 1, ..., C)``.

    References:
        BVLC/caffe, ``pooling_layer.cpp``; ``torch.nn.MaxPool2d(ceil_mode=True)``.
    """
    rows, columns = ((0, _overhang(length, window, stride)) for length in x.shape[-3:-1])
    return window_maximum(_pad_lowest(x, rows, columns), window, stride)


def _pad_lowest(x: jax.Array, rows: tuple[int, int], columns: tuple[int, int]) -> jax.Array:
    """Pads height and width by minus infinity, each as (before, after)."""
    configuration = [(0, 0, 0)] * (x.ndim - 3) + [(*rows, 0), (*columns, 0), (0, 0, 0)]
    return jax.lax.pad(x, jnp.array(-jnp.inf, x.dtype), configuration)


def _overhang(length: int, window: int, stride: int) -> int:
    windows = math.ceil(max(length - window, 0) / stride) + 1
    return max((windows - 1) * stride + window - length, 0)


def adaptive_mean_pool(x: jax.Array, size: int) -> jax.Array:
    """Averages over a grid of size x size cells, for any size of the image (torch's rule).

    Cell i covers the samples from floor(i * n / size) to ceil((i + 1) * n / size), so cells may overlap.

    Args:
        x: ``(..., H, W, C)``.
        size: Cells along each side.

    Returns:
        ``(..., size, size, C)``.

    References:
        ``torch.nn.AdaptiveAvgPool2d``.
    """
    if x.shape[-3:-1] == (size, size):
        return x
    rows, columns = (jnp.asarray(_adaptive_matrix(length, size), x.dtype) for length in x.shape[-3:-1])
    return jnp.einsum("yh,...hwc,xw->...yxc", rows, x, columns, precision=jax.lax.Precision.HIGHEST)


def _adaptive_matrix(source: int, target: int) -> np.ndarray:
    cells = np.arange(target)
    first, last = cells * source // target, -(-(cells + 1) * source // target)
    samples = np.arange(source)
    inside = (samples >= first[:, None]) & (samples < last[:, None])
    return inside / inside.sum(axis=1, keepdims=True)


def local_response_norm(x: jax.Array, *, size: int, alpha: float, beta: float, k: float) -> jax.Array:
    r"""Divides each channel by the energy of its neighbours.

    .. math:: y_c = x_c \Big/ \Big(k + \frac{\alpha}{n} \sum_{|c' - c| \le n/2} x_{c'}^2\Big)^\beta

    with n the size of the window, which is centred; past the first and last channel it counts zeros.

    Args:
        x: ``(..., C)``.
        size: Channels in the window, odd.
        alpha: Scale of the energy.
        beta: Exponent.
        k: Offset.

    Returns:
        The same shape.

    References:
        BVLC/caffe, ``lrn_layer.cpp``, ``ACROSS_CHANNELS``.
    """
    half = size // 2
    window = (1,) * (x.ndim - 1) + (size,)
    padding = ((0, 0),) * (x.ndim - 1) + ((half, half),)
    energy = jax.lax.reduce_window(x * x, 0.0, jax.lax.add, window, (1,) * x.ndim, padding)
    return x * (k + (alpha / size) * energy) ** -beta


class DepthwiseConv(nn.Module):
    """Convolves each channel with its own kernel, with TensorFlow's "SAME" padding and no bias.

    Attributes:
        kernel_size: Side of the kernel, in pixels.
        stride: Step, in pixels.
    """

    kernel_size: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``(..., H, W, C)`` to ``(..., ceil(H / stride), ceil(W / stride), C)``."""
        size, channels = self.kernel_size, x.shape[-1]
        kernel = parameter(self, "kernel", nn.initializers.lecun_normal(), (size, size, 1, channels))
        return depthwise_convolution(x, kernel[:, :, 0].astype(x.dtype), self.stride)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def depthwise_convolution(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Convolves each channel with its own kernel, as a sum over the kernel's taps of strided slices.

    Compilers fuse the sum into one loop, on CPUs many times faster than a grouped convolution. The gradient is
    defined here because the transpose of a slice is a padding, and a sum of paddings does not fuse: with respect
    to the image it is the same sum over the dilated gradient, with the kernel flipped.

    Args:
        x: ``(..., H, W, C)``.
        kernel: ``(size, size, C)``.
        stride: Step, in pixels.

    Returns:
        ``(..., ceil(H / stride), ceil(W / stride), C)``, of "SAME" padding.
    """
    return _sum_over_taps(x, kernel, stride)


def _sum_over_taps(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    height, width = (-(-length // stride) for length in x.shape[-3:-1])
    return _correlate(_pad_same(x, kernel.shape[0], stride), kernel, stride, (height, width))


def _depthwise_forward(x: Any, kernel: Any, stride: int) -> tuple[jax.Array, Any]:
    """Keeps of the image its shape alone, unless the kernel is differentiated, as in training."""
    kept = x.value if kernel.perturbed else None
    return depthwise_convolution(x.value, kernel.value, stride), (x.value[..., :0], kept, kernel.value)


def _depthwise_backward(stride: int, residuals: Any, gradient: jax.Array) -> tuple[jax.Array, jax.Array | None]:
    empty, x, kernel = residuals
    if isinstance(gradient, SymbolicZero):
        gradient = jnp.zeros(gradient.shape, gradient.dtype)
    size, (height, width) = kernel.shape[0], empty.shape[-3:-1]
    dilated = _pad(gradient, *(_dilation_padding(length, size, stride) for length in (height, width)))
    image_gradient = _correlate(dilated, kernel[::-1, ::-1], 1, (height, width))
    if x is None:
        return image_gradient, None
    padded, positions = _pad_same(x, size, stride), tuple(range(x.ndim - 1))
    taps = [
        jnp.sum(_window(padded, row, column, stride, gradient.shape) * gradient, axis=positions)
        for row in range(size)
        for column in range(size)
    ]
    return image_gradient, jnp.stack(taps).reshape(kernel.shape)


depthwise_convolution.defvjp(_depthwise_forward, _depthwise_backward, symbolic_zeros=True)


def _pad_same(x: jax.Array, size: int, stride: int) -> jax.Array:
    (top, bottom), (left, right) = (same_padding(length, size, stride) for length in x.shape[-3:-1])
    return _pad(x, (top, bottom, 0), (left, right, 0))


def _pad(x: jax.Array, rows: tuple[int, int, int], columns: tuple[int, int, int]) -> jax.Array:
    """Pads height and width by zeros, each as (before, after, between)."""
    configuration = [(0, 0, 0)] * (x.ndim - 3) + [rows, columns, (0, 0, 0)]
    return jax.lax.pad(x, jnp.zeros((), x.dtype), configuration)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _correlate(padded: jax.Array, kernel: jax.Array, stride: int, size: tuple[int, int]) -> jax.Array:
    shape = (*padded.shape[:-3], *size, padded.shape[-1])
    total = jnp.zeros(shape, padded.dtype)
    for row in range(kernel.shape[0]):
        for column in range(kernel.shape[1]):
            weight = jax.lax.broadcast_in_dim(kernel[row, column], shape, (len(shape) - 1,))
            total = total + _window(padded, row, column, stride, shape) * weight
    return total


def _window(padded: jax.Array, row: int, column: int, stride: int, shape: tuple[int, ...]) -> jax.Array:
    """Returns the values that one tap of the kernel multiplies, by ``lax.slice``: indexing traces much slower."""
    *lead, height, width, channels = shape
    start = (*(0 for _ in lead), row, column, 0)
    limit = (*lead, row + (height - 1) * stride + 1, column + (width - 1) * stride + 1, channels)
    return jax.lax.slice(padded, start, limit, (*(1 for _ in lead), stride, stride, 1))


def _dilation_padding(length: int, size: int, stride: int) -> tuple[int, int, int]:
    """Returns the padding, (before, after, between), that undoes the stride in the backward pass."""
    before, _ = same_padding(length, size, stride)
    dilated = (-(-length // stride) - 1) * stride + 1
    return size - 1 - before, length + before - dilated, stride - 1


def flatten(x: jax.Array) -> jax.Array:
    """Reshapes ``(..., h, w, c)`` to ``(..., h * w * c)``, channels fastest."""
    return x.reshape((*x.shape[:-3], -1))


def require_image(x: jax.Array, model: str, size: int | None = None) -> None:
    """Raises InputError unless x is ``(..., H, W, 3)``, and ``size`` high and wide if there is only one size."""
    if x.ndim < 3 or x.shape[-1] != 3:
        raise InputError(f"{model} takes images (..., H, W, 3), got shape {x.shape} instead.")
    if size is not None and x.shape[-3:-1] != (size, size):
        height, width = x.shape[-3:-1]
        raise InputError(
            f"{model} takes images of {size}x{size} only, got {height}x{width} instead: its first fully "
            "connected layer has a weight for every position. Its torchvision variant takes other sizes."
        )

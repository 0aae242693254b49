"""Convolutions of any kernel and stride, with a gradient at the image that is fast on CPUs too.

XLA's own gradient of a strided convolution convolves the result's gradient with zeros in between, and leaves the
kernel's inputs and outputs as they lie, for which its CPU library has no fast code.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

Edges = tuple[tuple[int, int], tuple[int, int]]
"""Zeros above and below, and left and right of an image, in pixels."""

_AXES = ("NHWC", "HWIO", "NHWC")


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def strided_convolution(x: jax.Array, kernel: jax.Array, stride: int, edges: Edges) -> jax.Array:
    """Convolves with a stride. Forward-mode derivatives are not defined.

    Args:
        x: ``(..., H, W, inputs)``.
        kernel: ``(size, size, inputs, outputs)``.
        stride: Step, in pixels.
        edges: Zeros around the image.

    Returns:
        ``(..., floor((H + top + bottom - size) / stride) + 1, ..., outputs)``.
    """
    return plain_convolution(x, kernel, stride, edges)


def same_padding(length: int, size: int, stride: int) -> tuple[int, int]:
    """Returns TensorFlow's "SAME" padding of one axis, (before, after)."""
    total = max((-(-length // stride) - 1) * stride + size - length, 0)
    return total // 2, total - total // 2


def plain_convolution(x: jax.Array, kernel: jax.Array, stride: int, edges: Edges) -> jax.Array:
    """Computes :func:`strided_convolution` by the platform's own convolution, with its own gradients."""
    batch = x.reshape((-1, *x.shape[-3:]))
    y = jax.lax.conv_general_dilated(batch, kernel, (stride, stride), edges, dimension_numbers=_AXES)
    return y.reshape((*x.shape[:-3], *y.shape[1:]))


def _forward(x: Any, kernel: Any, stride: int, edges: Edges) -> tuple[jax.Array, Any]:
    """Keeps of the image its shape alone, unless the kernel is differentiated, as in training."""
    kept = x.value if kernel.perturbed else None
    return plain_convolution(x.value, kernel.value, stride, edges), (x.value[..., :0], kept, kernel.value)


def _backward(
    stride: int, edges: Edges, residuals: Any, gradient: jax.Array
) -> tuple[jax.Array, jax.Array | None]:
    empty, x, kernel = residuals
    if isinstance(gradient, SymbolicZero):
        gradient = jnp.zeros(gradient.shape, gradient.dtype)
    sides = empty.shape[-3:-1]

    def plain(gradient: jax.Array, kernel: jax.Array) -> jax.Array:
        image = jax.ShapeDtypeStruct((*empty.shape[:-1], kernel.shape[2]), gradient.dtype)
        transposed = jax.linear_transpose(lambda x: plain_convolution(x, kernel, stride, edges), image)
        return transposed(gradient)[0]

    by_tiles = functools.partial(_image_gradient, stride=stride, edges=edges, sides=sides)
    image_gradient = jax.lax.platform_dependent(gradient, kernel, cpu=by_tiles, default=plain)
    if x is None:
        return image_gradient, None
    _, pull_back = jax.vjp(lambda kernel: plain_convolution(x, kernel, stride, edges), kernel)
    return image_gradient, pull_back(gradient)[0]


strided_convolution.defvjp(_forward, _backward, symbolic_zeros=True)


def _image_gradient(
    gradient: jax.Array, kernel: jax.Array, *, stride: int, edges: Edges, sides: tuple[int, int]
) -> jax.Array:
    """Returns the gradient at an image of these sides: a convolution without a stride, for tiles of pixels.

    A tile, a square as wide as the stride, lies under so many results as the kernel has tiles. Its pixels are the
    channels of one convolution, whose kernel is filled up to whole tiles by zeros and flipped.
    """
    size, _, inputs, outputs = kernel.shape
    tiles = -(-size // stride)
    fill = (0, tiles * stride - size)
    cut = jnp.pad(kernel, [fill, fill, (0, 0), (0, 0)]).reshape(tiles, stride, tiles, stride, inputs, outputs)
    flipped = cut[::-1, :, ::-1].transpose(0, 2, 5, 1, 3, 4).reshape(tiles, tiles, outputs, -1)
    y = plain_convolution(gradient, flipped, 1, ((tiles - 1, tiles - 1), (tiles - 1, tiles - 1)))
    *lead, rows, columns, _ = y.shape
    pixels = y.reshape((*lead, rows, columns, stride, stride, inputs)).swapaxes(-4, -3)
    covered = pixels.reshape((*lead, rows * stride, columns * stride, inputs))
    ends = [
        (-before, before + side - length, 0)
        for side, length, (before, _) in zip(sides, covered.shape[-3:-1], edges, strict=True)
    ]
    return jax.lax.pad(covered, jnp.zeros((), covered.dtype), [(0, 0, 0)] * len(lead) + [*ends, (0, 0, 0)])

r"""3x3 convolutions with fewer multiplications, for CPUs: Winograd's F(2x2, 3x3).

.. math:: Y = A^T \big[ (G g G^T) \odot (B^T d B) \big] A

turns a 4x4 window d of the image and a 3x3 kernel g into a 2x2 window Y of the result. Over all channels the
product is a matrix multiplication for each of the 16 positions of the window: 4 multiplications a pixel where
the convolution has 9. The arithmetic is float32, with errors of about 1e-6 of the largest value, as with the plain
sum. GPUs and TPUs use their own convolutions.

References:
    Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, arXiv:1509.09308, section 4.1.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from gradcam_jax.models.strided import plain_convolution

_FEWEST_CHANNELS = 32  # with fewer, the transforms cost more than the saved multiplications
_SIDES = (8, 160)  # in pixels: smaller maps are mostly border; larger ones are bound by memory traffic
_SEPARATE_TILES = 512  # windows a map from which 16 matrix products beat one batched product

_Windows = list[list[jax.Array]]  # 4x4 or 2x2 arrays, each (..., rows, columns, channels)


def suits_winograd(x: jax.Array, kernel: jax.Array) -> bool:
    """Returns whether the transformed convolution is faster on CPUs, by the shapes and dtypes alone."""
    wide = min(kernel.shape[2:]) >= _FEWEST_CHANNELS
    sized = all(_SIDES[0] <= length <= _SIDES[1] for length in x.shape[-3:-1])
    return kernel.shape[:2] == (3, 3) and wide and sized and x.dtype in (jnp.float32, jnp.float64)


def transform_kernel(kernel: jax.Array) -> jax.Array:
    r"""Computes :math:`G g G^T` of every pair of channels.

    Args:
        kernel: ``(3, 3, inputs, outputs)`` float.

    Returns:
        ``(4, 4, inputs, outputs)``.
    """

    def spread(first: jax.Array, middle: jax.Array, last: jax.Array) -> list[jax.Array]:
        return [first, (first + middle + last) * 0.5, (first - middle + last) * 0.5, last]

    return jnp.stack([jnp.stack(spread(*row)) for row in spread(*kernel)])


@jax.custom_vjp
def convolve_3x3(x: jax.Array, kernel: jax.Array, transformed: jax.Array | None = None) -> jax.Array:
    """Convolves with a 3x3 kernel, stride 1, zeros around the image.

    The gradient with respect to the image is a convolution of the same kind. Forward-mode derivatives are not
    defined.

    Args:
        x: ``(..., H, W, inputs)``.
        kernel: ``(3, 3, inputs, outputs)``.
        transformed: The kernel's transform by :func:`transform_kernel`, if it was computed before: it saves a few
            per cent of every call on a CPU. Its own gradient is zero; the kernel's is complete.

    Returns:
        ``(..., H, W, outputs)``.
    """
    if not suits_winograd(x, kernel):
        return _plain(x, kernel)
    return jax.lax.platform_dependent(x, kernel, transformed, cpu=winograd_convolution, default=_plain)


def winograd_convolution(x: jax.Array, kernel: jax.Array, transformed: jax.Array | None = None) -> jax.Array:
    """Computes :func:`convolve_3x3` by Winograd's transforms, on any platform."""
    height, width = x.shape[-3:-1]
    transformed = transform_kernel(kernel) if transformed is None else transformed
    windows = _transform_windows(_overlapping_windows(x))
    return _interleave(_transform_products(_multiply(windows, transformed)))[..., :height, :width, :]


def _plain(x: jax.Array, kernel: jax.Array, transformed: jax.Array | None = None) -> jax.Array:
    del transformed
    return plain_convolution(x, kernel, 1, ((1, 1), (1, 1)))


def _forward(x: Any, kernel: Any, transformed: Any) -> tuple[jax.Array, Any]:
    """Keeps the image for the backward pass only if the kernel is differentiated, as in training."""
    transform = None if transformed is None else transformed.value
    result = convolve_3x3(x.value, kernel.value, transform)
    return result, (x.value if kernel.perturbed else None, kernel.value, transform)


def _backward(residuals: Any, gradient: jax.Array) -> tuple[jax.Array, jax.Array | None, None]:
    x, kernel, transformed = residuals
    if isinstance(gradient, SymbolicZero):
        gradient = jnp.zeros(gradient.shape, gradient.dtype)
    flipped = jnp.swapaxes(kernel[::-1, ::-1], -2, -1)
    transform = None if transformed is None else _backward_transform(transformed)
    image_gradient = convolve_3x3(gradient, flipped, transform)
    if x is None:
        return image_gradient, None, None
    _, vjp = jax.vjp(lambda kernel: _plain(x, kernel), kernel)
    return image_gradient, vjp(gradient)[0], None


def _backward_transform(transformed: jax.Array) -> jax.Array:
    """Returns the transform of the backward pass's kernel: flipped, with inputs and outputs exchanged."""
    order = jnp.array([3, 1, 2, 0])  # flipping three rows exchanges the first and last of their four combinations
    return jnp.swapaxes(transformed[order][:, order], -2, -1)


convolve_3x3.defvjp(_forward, _backward, symbolic_zeros=True)


def _overlapping_windows(x: jax.Array) -> _Windows:
    """Cuts the padded image into 4x4 windows, two pixels apart: one array for each position inside a window."""
    lead, (height, width, channels) = x.shape[:-3], x.shape[-3:]
    rows, columns = -(-height // 2), -(-width // 2)
    edges = [(0, 0, 0)] * len(lead) + [(1, 2 * rows - height + 1, 0), (1, 2 * columns - width + 1, 0), (0, 0, 0)]
    padded = jax.lax.pad(x, jnp.zeros((), x.dtype), edges)
    steps = (*(1 for _ in lead), 2, 2, 1)

    def cut(row: int, column: int) -> jax.Array:
        start = (*(0 for _ in lead), row, column, 0)
        limit = (*lead, row + 2 * rows - 1, column + 2 * columns - 1, channels)
        return jax.lax.slice(padded, start, limit, steps)

    return [[cut(row, column) for column in range(4)] for row in range(4)]


def _transform_windows(windows: _Windows) -> _Windows:
    """Computes B^T d B."""

    def spread(first: jax.Array, second: jax.Array, third: jax.Array, fourth: jax.Array) -> list[jax.Array]:
        return [first - third, second + third, third - second, second - fourth]

    return _over_rows_and_columns(windows, spread)


def _transform_products(products: _Windows) -> _Windows:
    """Computes A^T m A."""

    def combine(first: jax.Array, second: jax.Array, third: jax.Array, fourth: jax.Array) -> list[jax.Array]:
        return [first + second + third, second - third - fourth]

    return _over_rows_and_columns(products, combine)


def _over_rows_and_columns(windows: _Windows, combine: Any) -> _Windows:
    """Combines the four rows of a window, then its four columns."""
    combined_rows = zip(*(combine(*column) for column in zip(*windows, strict=True)), strict=True)
    return [combine(*row) for row in combined_rows]


def _multiply(windows: _Windows, transformed: jax.Array) -> _Windows:
    """Multiplies each position's channels by its matrix."""
    shape = windows[0][0].shape
    outputs = transformed.shape[-1]
    if shape[-3] * shape[-2] >= _SEPARATE_TILES:
        return [[windows[i][j] @ transformed[i, j] for j in range(4)] for i in range(4)]
    stacked = jnp.stack([window.reshape(-1, shape[-1]) for row in windows for window in row])
    products = jax.lax.batch_matmul(stacked, transformed.reshape(16, *transformed.shape[-2:]))
    return [[products[4 * i + j].reshape((*shape[:-1], outputs)) for j in range(4)] for i in range(4)]


def _interleave(windows: _Windows) -> jax.Array:
    """Joins the arrays of 2x2 windows, ``(..., rows, columns, channels)`` each, to twice the rows and columns."""
    *lead, rows, columns, channels = windows[0][0].shape
    lines = [jnp.stack(row, axis=-2).reshape((*lead, rows, 2 * columns, channels)) for row in windows]
    return jnp.stack(lines, axis=-3).reshape((*lead, 2 * rows, 2 * columns, channels))

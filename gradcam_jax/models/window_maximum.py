"""Maximum over windows, with a gradient that is one elementwise pass.

XLA's own backward pass selects and scatters window by window, on CPUs a fifth of VGG's guided backpropagation, and
keeps the image in memory; here the backward pass needs one byte a window.
"""

import functools
import itertools

import jax
import jax.numpy as jnp

from gradcam_jax.errors import InputError

_ROW = 16  # a place is row * _ROW + column, in one byte
_LARGEST = 8  # with it, no place past a window's end, which a tile can have, is another's byte


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def window_maximum(x: jax.Array, window: int, stride: int) -> jax.Array:
    """Returns the maximum of each window that fits; the gradient goes to the first of equal values, row by row.

    Args:
        x: ``(..., H, W, C)``, each side at least the window.
        window: Side of the windows, in pixels; at most 8.
        stride: Step between windows, in pixels.

    Returns:
        ``(..., floor((H - window) / stride) + 1, ..., C)``.

    Raises:
        InputError: If the window is larger.
    """
    # The same operations as with a gradient, so that the compiler merges the two where a program has both.
    return _forward(x, window, stride)[0]


def _forward(x: jax.Array, window: int, stride: int) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    if window > _LARGEST:
        raise InputError(f"Expected a window of at most {_LARGEST} pixels, got {window} instead.")
    *lead, height, width, channels = x.shape
    rows, columns = ((length - window) // stride + 1 for length in (height, width))

    def values(row: int, column: int) -> jax.Array:
        start = (*(0 for _ in lead), row, column, 0)
        limit = (*lead, row + (rows - 1) * stride + 1, column + (columns - 1) * stride + 1, channels)
        return jax.lax.slice(x, start, limit, (*(1 for _ in lead), stride, stride, 1))

    highest = values(0, 0)
    place = jnp.zeros(highest.shape, jnp.uint8)
    for row, column in list(itertools.product(range(window), repeat=2))[1:]:
        value = values(row, column)
        place = jnp.where(value > highest, jnp.full_like(place, row * _ROW + column), place)
        highest = jnp.maximum(highest, value)
    return highest, (place, x[..., :0])


def _backward(
    window: int, stride: int, residuals: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array]:
    """Cuts the image into tiles of the stride's size: a window reaches over its own tile and the next ones."""
    place, empty = residuals
    *lead, height, width, _ = empty.shape
    rows, columns = (-(-length // stride) for length in (height, width))
    tiles = (*lead, rows, stride, columns, stride, gradient.shape[-1])
    inside = [jax.lax.broadcasted_iota(jnp.uint8, tiles, len(lead) + axis) for axis in (1, 3)]
    total = jnp.zeros(tiles, gradient.dtype)
    for top, left in itertools.product(range(-(-window // stride)), repeat=2):
        places, values = (_spread(windows, top, left, tiles) for windows in (place, gradient))
        row, column = top * stride + inside[0], left * stride + inside[1]
        total = total + jnp.where(places == row * _ROW + column, values, jnp.zeros_like(total))
    image = total.reshape((*lead, rows * stride, columns * stride, gradient.shape[-1]))
    return (image[..., :height, :width, :],)


window_maximum.defvjp(_forward, _backward)


def _spread(windows: jax.Array, top: int, left: int, tiles: tuple[int, ...]) -> jax.Array:
    """Gives each tile's pixels what belongs to the window that begins ``top`` and ``left`` tiles before."""
    *lead, rows, _, columns, _, _ = tiles
    height, width = windows.shape[-3:-1]
    edges = [(top, rows - height - top, 0), (left, columns - width - left, 0), (0, 0, 0)]
    moved = jax.lax.pad(windows, jnp.zeros((), windows.dtype), [(0, 0, 0)] * len(lead) + edges)
    return jnp.broadcast_to(moved[..., :, jnp.newaxis, :, jnp.newaxis, :], tiles)

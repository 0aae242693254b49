"""Maps resized by the rules of :mod:`gradcam_jax.attribution.resize_matrices`, and the named normalisations."""

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.attribution.resize_matrices import corner_aligned_matrix, half_pixel_matrix


def resize_corner_aligned(maps: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Resizes maps by the original program's rule, that of :func:`corner_aligned_matrix`.

    Args:
        maps: ``(..., h, w)`` float.
        size: The result's ``(height, width)``, in pixels.

    Returns:
        ``(..., height, width)`` of the same dtype.
    """
    height, width = size
    rows = corner_aligned_matrix(maps.shape[-2], height)
    return _resize(maps, rows, corner_aligned_matrix(maps.shape[-1], width))


def resize_half_pixel(maps: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Resizes maps by linear interpolation with half-pixel centres, by :func:`half_pixel_matrix`.

    Args:
        maps: ``(..., h, w)`` float.
        size: The result's ``(height, width)``, in pixels.

    Returns:
        ``(..., height, width)`` of the same dtype.
    """
    height, width = size
    return _resize(maps, half_pixel_matrix(maps.shape[-2], height), half_pixel_matrix(maps.shape[-1], width))


def normalize_min_max(values: jax.Array) -> jax.Array:
    """Shifts and scales a whole array to [0, 1]; a constant array becomes zeros.

    The display rule of the original program (``image.toDisplayTensor``). It stretches any map, one without a
    positive value too: :func:`gradcam_jax.all_negative` tells whether a map has one.

    Args:
        values: One map or picture, any shape, float. ``jax.vmap`` treats examples apart.

    Returns:
        The same shape, in [0, 1].

    Example:
        >>> import jax.numpy as jnp
        >>> normalize_min_max(jnp.array([1.0, 2.0, 5.0]))
        Array([0.  , 0.25, 1.  ], dtype=float32)
    """
    shifted = values - jnp.min(values)
    return _divide(shifted, jnp.max(shifted))


def normalize_max(values: jax.Array) -> jax.Array:
    """Rectifies an array and divides it by its maximum; 0 still means "no evidence".

    Args:
        values: One map, any shape, float.

    Returns:
        The same shape, in [0, 1]; zeros if nothing is positive.

    Example:
        >>> import jax.numpy as jnp
        >>> normalize_max(jnp.array([-1.0, 2.0, 4.0]))
        Array([0. , 0.5, 1. ], dtype=float32)
    """
    positive = jax.nn.relu(values)
    return _divide(positive, jnp.max(positive))


def normalize_symmetric(values: jax.Array) -> jax.Array:
    """Divides an array by its largest magnitude, which keeps the sign and the zero.

    Args:
        values: One signed map, any shape, float.

    Returns:
        The same shape, in [-1, 1]; zeros stay zeros.

    Example:
        >>> import jax.numpy as jnp
        >>> normalize_symmetric(jnp.array([-4.0, 2.0]))
        Array([-1. ,  0.5], dtype=float32)
    """
    return _divide(values, jnp.max(jnp.abs(values)))


def _divide(values: jax.Array, by: jax.Array) -> jax.Array:
    # The inner `where` keeps 0/0 out of the gradient.
    return jnp.where(by > 0, values / jnp.where(by > 0, by, jnp.ones_like(by)), jnp.zeros_like(values))


def _resize(maps: jax.Array, rows: np.ndarray, columns: np.ndarray) -> jax.Array:
    return jnp.einsum(
        "yh,...hw,xw->...yx",
        rows.astype(maps.dtype),
        maps,
        columns.astype(maps.dtype),
        precision=jax.lax.Precision.HIGHEST,
    )

"""Several maps of one target as one: of several layers, or of several methods."""

from collections.abc import Iterable

import jax
import jax.numpy as jnp

from gradcam_jax.attribution.resize import normalize_max, resize_half_pixel


def fuse_maps(maps: Iterable[jax.Array], size: tuple[int, int]) -> jax.Array:
    r"""Averages maps of one target, each rectified, divided by its maximum and resized.

    .. math:: L = \frac{1}{n} \sum_l U\big(\mathrm{ReLU}(L_l) / \max L_l\big)

    A map without a positive value counts as zeros.

    Args:
        maps: At least one, ``(..., h, w)``, each at its own resolution, with the same leading axes: what
            ``explain`` returns for several layers, ``explanation.cam.values()``.
        size: The result's ``(height, width)``.

    Returns:
        ``(..., height, width)``, in [0, 1].

    Raises:
        ValueError: If there is no map.

    Example:
        >>> import jax.numpy as jnp
        >>> fuse_maps([jnp.array([[2.0, 4.0]]), jnp.array([[-1.0, 9.0]])], (1, 2))
        Array([[0.25, 1.  ]], dtype=float32)

    References:
        pytorch-grad-cam's mean over target layers, which shifts each map's minimum to 0 besides.
    """
    normalize = jnp.vectorize(normalize_max, signature="(h,w)->(h,w)")
    resized = [resize_half_pixel(normalize(cam), size) for cam in maps]
    if not resized:
        raise ValueError("Expected at least one map to fuse, got none.")
    return jnp.mean(jnp.stack(resized), axis=0)

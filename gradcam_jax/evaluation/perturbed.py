"""Scores of perturbed images: what the tests of faithfulness are made of, compiled and in chunks.

All functions are of one image, ``(H, W, 3)`` as the model takes it, and of ``score(image) -> scalar``. A
perturbed image is made when it is scored, so memory holds one chunk of them: ``jax.vmap`` and ``jax.lax.map`` go
over images, maps and targets. Map a batch with ``jax.lax.map`` where memory is short.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.ndimage

from gradcam_jax.errors import InputError

Score = Callable[[jax.Array], jax.Array]
"""``score(image) -> scalar`` of one image, ``(H, W, 3)``: a probability or a logit of one target."""

CHUNK = 32
"""Perturbed images scored at once on accelerators."""


def scores_of(score: Score, perturb: Callable[[Any], jax.Array], choices: Any, *, chunk: int = CHUNK) -> jax.Array:
    """Scores an image under many perturbations: one after the other on CPUs, elsewhere a chunk at once.

    Args:
        score: The target's score of one image.
        perturb: From a choice to the perturbed image.
        choices: Array or tree with a leading axis m.
        chunk: Images at once on accelerators.

    Returns:
        ``(m,)``.

    Example:
        >>> scores_of(jnp.sum, lambda factor: factor * jnp.ones((2, 2, 3)), jnp.array([0.0, 1.0]))
        Array([ 0., 12.], dtype=float32)
    """

    def one(choice: Any) -> jax.Array:
        return score(perturb(choice))

    return jax.lax.platform_dependent(
        choices,
        cpu=lambda choices: jax.lax.map(one, choices),
        default=lambda choices: jax.lax.map(one, choices, batch_size=chunk),
    )


def blurred(image: jax.Array, *, width: int = 11, sigma: float = 5.0) -> jax.Array:
    """Blurs an image as RISE's insertion does: a Gaussian cut off to a square, zeros beyond the edge.

    RISE makes its kernel by filtering a square with one pixel set, which folds the Gaussian's tails back into the
    square; so does this.

    Args:
        image: ``(H, W, C)``.
        width: Side of the kernel, odd, in pixels.
        sigma: Of the Gaussian, in pixels.

    Returns:
        ``(H, W, C)``.

    References:
        Petsiuk et al., RISE, arXiv:1806.07421; eclique/RISE, ``evaluation.py``, ``gkern(11, 5)``.
    """
    if width % 2 == 0 or width < 1:
        raise InputError(f"Expected a kernel of an odd number of pixels, got {width} instead.")
    pulse = np.zeros(width)
    pulse[width // 2] = 1
    kernel = np.asarray(scipy.ndimage.gaussian_filter1d(pulse, sigma), np.float32)
    rows, columns = (jnp.asarray(_banded(length, kernel), image.dtype) for length in image.shape[:2])
    return jnp.einsum("yh,hwc,xw->yxc", rows, image, columns, precision=jax.lax.Precision.HIGHEST)


def ranks_of(heatmap: jax.Array) -> jax.Array:
    """Returns each position's place in the order of a map's values, highest first; of equal ones the first.

    Args:
        heatmap: ``(H, W)``.

    Returns:
        int32, ``(H, W)``, from 0.

    Example:
        >>> ranks_of(jnp.array([[1.0, 3.0], [2.0, 3.0]])).tolist()
        [[3, 0], [2, 1]]
    """
    order = jnp.argsort(heatmap.reshape(-1), stable=True, descending=True)
    places = jnp.arange(order.size, dtype=jnp.int32)
    return jnp.zeros(order.shape, jnp.int32).at[order].set(places).reshape(heatmap.shape)


def require_size(image: jax.Array, heatmap: jax.Array) -> None:
    """Raises InputError unless a map has the image's height and width."""
    if heatmap.shape != image.shape[:2]:
        raise InputError(
            f"Expected a map of the image's size {image.shape[:2]}, got {heatmap.shape} instead. Enlarge it: "
            "resize_corner_aligned(cam, image.shape[:2])."
        )


def _banded(length: int, kernel: np.ndarray) -> np.ndarray:
    """Returns the matrix of a convolution with zeros beyond the ends."""
    middle = len(kernel) // 2
    shifted = [kernel[middle + shift] * np.eye(length, k=shift) for shift in range(-middle, middle + 1)]
    return np.sum(shifted, axis=0)

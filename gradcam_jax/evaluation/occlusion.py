"""The paper's test of faithfulness: does a map rank the parts of a photo as covering them does?"""

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.evaluation.agreement import map_agreement
from gradcam_jax.evaluation.perturbed import CHUNK, Score, scores_of

PATCH, STRIDE = 32, 16
"""Side of the covered square and its step, in pixels. The paper names neither."""


def occlusion_drops(
    score: Score,
    image: jax.Array,
    *,
    patch: int = PATCH,
    stride: int = STRIDE,
    fill: float = 0.0,
    chunk: int = CHUNK,
) -> jax.Array:
    """Covers a photo square by square and returns by how much a target's score falls.

    Args:
        score: The target's score of an image; the paper's is the class's, before the softmax.
        image: As the model takes it, ``(H, W, 3)``.
        patch: Side of the square, in pixels.
        stride: Step from one square to the next, in pixels. What is left at the right and the bottom is not
            covered.
        fill: What the square is filled with, in the model's numbers: where the preprocessing subtracts the mean,
            0 is the mean pixel.
        chunk: Images scored at once on accelerators.

    Returns:
        ``(rows, columns)``; negative where the score rises.

    Raises:
        InputError: If the square does not fit into the image, or there is no step.

    Example:
        >>> occlusion_drops(jnp.sum, jnp.arange(8.0).reshape(2, 4, 1), patch=2, stride=2)
        Array([[10., 18.]], dtype=float32)

    References:
        Zeiler and Fergus, arXiv:1311.2901, section 4.2; Selvaraju et al., arXiv:1610.02391, section 5.3.
    """
    height, width = image.shape[:2]
    if not 1 <= patch <= min(height, width) or stride < 1:
        raise InputError(
            f"Expected a patch of 1 to {min(height, width)} pixels and a stride of at least 1, got {patch} and "
            f"{stride} instead."
        )
    tops, lefts = _starts(height, patch, stride), _starts(width, patch, stride)
    corners = jnp.asarray(np.stack(np.meshgrid(tops, lefts, indexing="ij"), axis=-1).reshape(-1, 2), jnp.int32)
    square = jnp.full((patch, patch, image.shape[2]), fill, image.dtype)

    def cover(corner: jax.Array) -> jax.Array:
        return jax.lax.dynamic_update_slice(image, square, (corner[0], corner[1], jnp.zeros_like(corner[0])))

    scores = scores_of(score, cover, corners, chunk=chunk)
    return (score(image) - scores).reshape(len(tops), len(lefts))


def occlusion_correlation(
    drops: jax.Array, heatmap: jax.Array, *, patch: int = PATCH, stride: int = STRIDE
) -> jax.Array:
    r"""Correlates the ranks of the drops and of a map's means over the same squares (Spearman).

    .. math:: \rho = \mathrm{corr}(\mathrm{rank}\,d, \mathrm{rank}\,\bar L)

    Args:
        drops: Of :func:`occlusion_drops`; one computation serves all maps of the target.
        heatmap: ``(H, W)``, at the image's size.
        patch: As the drops were made.
        stride: As the drops were made.

    Returns:
        From -1 to 1; 0 for a uniform map.

    Raises:
        InputError: If the drops were not made with this patch and stride.

    References:
        Selvaraju et al., Grad-CAM, arXiv:1610.02391, section 5.3.
    """
    means = patch_means(heatmap, patch=patch, stride=stride)
    if means.shape != drops.shape:
        raise InputError(
            f"Expected drops of {means.shape} squares, got {drops.shape} instead. Were they made with another "
            "patch or stride?"
        )
    return map_agreement(means, drops).rank_correlation


def patch_means(heatmap: jax.Array, *, patch: int = PATCH, stride: int = STRIDE) -> jax.Array:
    """Returns a map's means over the squares of :func:`occlusion_drops`, ``(rows, columns)``.

    Example:
        >>> patch_means(jnp.arange(8.0).reshape(2, 4), patch=2, stride=2)
        Array([[2.5, 4.5]], dtype=float32)
    """
    window, step = (patch, patch), (stride, stride)
    sums = jax.lax.reduce_window(heatmap, np.zeros((), heatmap.dtype), jax.lax.add, window, step, "VALID")
    return sums / patch**2


def _starts(length: int, patch: int, stride: int) -> np.ndarray:
    return np.arange(0, length - patch + 1, stride)

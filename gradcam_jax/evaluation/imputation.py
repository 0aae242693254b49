r"""ROAD: what is left of a target's score when the pixels that a map ranks highest, or lowest, are imputed.

A removed pixel becomes the weighted mean of its eight neighbours, 1/6 for those at its sides and 1/12 for those at
its corners, with a little noise: the shape of what was removed cannot be read off, as it can from a fill. All
removed pixels together are a sparse linear system, symmetric and positive definite, that conjugate gradients
solve; the matrix is never built.

References:
    Rong et al., A Consistent and Efficient Evaluation Strategy for Attribution Methods, arXiv:2202.00449.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.sparse.linalg
import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.evaluation.perturbed import CHUNK, Score, ranks_of, require_size, scores_of

PERCENTILES = (10, 20, 30, 40, 50, 60, 70, 80, 90)
"""Shares of the pixels that are kept, in per cent."""

NOISE = 0.01
"""Deviation of the noise on imputed pixels, in the model's numbers."""

_WEIGHTS = np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]], np.float32) / np.float32(12)


class Road(NamedTuple):
    """Mean scores over the percentiles.

    Attributes:
        least_relevant_first: When the pixels that the map ranks lowest are imputed: high for a faithful map.
        most_relevant_first: When those that it ranks highest are: low for a faithful map.
    """

    least_relevant_first: jax.Array
    most_relevant_first: jax.Array

    @property
    def combined(self) -> jax.Array:
        """Half of their difference: 0 for a map that says nothing, higher is better."""
        return (self.least_relevant_first - self.most_relevant_first) * 0.5


def road(
    score: Score,
    image: jax.Array,
    heatmap: jax.Array,
    key: jax.Array,
    *,
    percentiles: Sequence[int] = PERCENTILES,
    noise: float = NOISE,
    chunk: int = CHUNK,
) -> Road:
    """Imputes pixels in both orders of a map, at each percentile, and scores what is left.

    At percentile p the pixels from the p-th percentile of the map on are removed, the highest 100 - p per cent;
    of equal values the first are the highest in both orders.

    Args:
        score: The target's score of an image, usually the probability.
        image: As the model takes it, ``(H, W, 3)``.
        heatmap: ``(H, W)``; only the order of its values counts.
        key: Of the noise.
        percentiles: Shares kept, in per cent.
        noise: Deviation of the noise on imputed pixels.
        chunk: Images scored at once on accelerators.

    Returns:
        A :class:`Road` of scalars.

    Raises:
        InputError: If the map has another size than the image, or a percentile is not between 0 and 100.
    """
    require_size(image, heatmap)
    if not percentiles or not all(0 < percentile < 100 for percentile in percentiles):
        raise InputError(f"Expected percentiles between 0 and 100, got {list(percentiles)} instead.")
    size = heatmap.size
    removed = jnp.asarray([size - -(-percentile * (size - 1) // 100) for percentile in percentiles], jnp.int32)
    # Equal values keep their order: a uniform map removes the same pixels both times.
    orders = jnp.stack([ranks_of(-heatmap), ranks_of(heatmap)])
    choices = {
        "order": jnp.repeat(jnp.arange(2, dtype=jnp.int32), len(percentiles)),
        "removed": jnp.tile(removed, 2),
        "key": jnp.tile(jax.random.split(key, len(percentiles)), 2),
    }

    def perturb(choice: dict[str, jax.Array]) -> jax.Array:
        known = orders[choice["order"]] >= choice["removed"]
        values = imputed(image, known)
        grain = noise * jax.random.normal(choice["key"], image.shape, image.dtype)
        return jnp.where(known[..., jnp.newaxis], image, values + grain)

    scores = scores_of(score, perturb, choices, chunk=chunk).reshape(2, len(percentiles))
    return Road(*jnp.mean(scores, axis=1))


def imputed(image: jax.Array, known: jax.Array, *, tolerance: float = 1e-5, steps: int = 2000) -> jax.Array:
    """Replaces unknown pixels by the weighted means of their neighbours, known and unknown.

    Args:
        image: ``(H, W, C)``.
        known: Which pixels are kept, ``(H, W)`` bool.
        tolerance: Of the residual, as a share of the right side's length.
        steps: Of the conjugate gradients, at most.

    Returns:
        ``(H, W, C)``; zeros if nothing is known.

    Example:
        >>> image = jnp.array([[[3.0], [0.0], [5.0]]])
        >>> imputed(image, jnp.array([[True, False, True]]))[0, 1]
        Array([4.], dtype=float32)
    """
    unknown = ~known[..., jnp.newaxis]
    zero = jnp.zeros_like(image)
    # Beyond the edge there is nothing: the weights of the neighbours that are there add up to less than 1.
    total = _neighbours(jnp.ones((*image.shape[:2], 1), image.dtype))

    def system(values: jax.Array) -> jax.Array:
        values = jnp.where(unknown, values, zero)
        return jnp.where(unknown, total * values - _neighbours(values), zero)

    right = jnp.where(unknown, _neighbours(jnp.where(unknown, zero, image)), zero)
    values, _ = jax.scipy.sparse.linalg.cg(
        system, right, M=lambda values: values / total, tol=tolerance, maxiter=steps
    )
    return jnp.where(unknown, values, image)


def _neighbours(values: jax.Array) -> jax.Array:
    """Returns the weighted sum of each position's eight neighbours."""
    height, width = values.shape[:2]
    padded = jnp.pad(values, ((1, 1), (1, 1), (0, 0)))
    parts = [
        _WEIGHTS[row, column] * padded[row : row + height, column : column + width]
        for row in range(3)
        for column in range(3)
        if _WEIGHTS[row, column]
    ]
    return functools.reduce(jnp.add, parts)

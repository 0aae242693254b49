"""Deletion and insertion: how a target's score falls and rises as pixels go or come in the order of a map."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.evaluation.perturbed import CHUNK, Score, blurred, ranks_of, require_size, scores_of

STEPS = 224
"""RISE's number of steps: of an image of 224x224, each changes 224 pixels."""


class Curve(NamedTuple):
    """A target's score along a way from one image to another.

    Attributes:
        fractions: Share of the pixels changed, ``(steps + 1,)``, from 0 to 1.
        scores: The score at each, ``(steps + 1,)``.
    """

    fractions: jax.Array
    scores: jax.Array

    @property
    def area(self) -> jax.Array:
        """The area under the curve, by trapezoids: its mean height."""
        widths = self.fractions[1:] - self.fractions[:-1]
        return jnp.sum(widths * (self.scores[1:] + self.scores[:-1]) * 0.5)


def deletion(
    score: Score,
    image: jax.Array,
    heatmap: jax.Array,
    *,
    steps: int = STEPS,
    fill: jax.Array | None = None,
    chunk: int = CHUNK,
) -> Curve:
    """Takes pixels away, those first where a map is highest: a faithful map makes the score fall soon.

    Args:
        score: The target's score of an image; RISE's is the probability.
        image: As the model takes it, ``(H, W, 3)``.
        heatmap: ``(H, W)``; only the order of its values counts.
        steps: In how many steps, at most; each but the last changes as many pixels.
        fill: What comes in their place, ``(H, W, 3)``; zeros, as in RISE, unless given: where the preprocessing
            subtracts the mean that is the mean pixel.
        chunk: Images scored at once on accelerators.

    Returns:
        The curve from the image to the fill; its area is small for a faithful map.

    Raises:
        InputError: If the map has another size than the image, or there are no steps.

    Example:
        >>> image = jnp.array([[[4.0], [3.0], [2.0], [1.0]]])
        >>> deletion(jnp.sum, image, image[..., 0], steps=2).scores
        Array([10.,  3.,  0.], dtype=float32)

    References:
        Petsiuk et al., RISE, arXiv:1806.07421, section 4.2.
    """
    end = jnp.zeros_like(image) if fill is None else fill
    return _along(score, image, end, heatmap, steps, chunk)


def insertion(
    score: Score,
    image: jax.Array,
    heatmap: jax.Array,
    *,
    steps: int = STEPS,
    fill: jax.Array | None = None,
    chunk: int = CHUNK,
) -> Curve:
    """Puts pixels into a blurred image, those first where a map is highest: a faithful map makes the score rise.

    Args:
        score: As for :func:`deletion`.
        image: As for :func:`deletion`.
        heatmap: As for :func:`deletion`.
        steps: As for :func:`deletion`.
        fill: What the image begins as; blurred as in RISE (:func:`gradcam_jax.evaluation.perturbed.blurred`)
            unless given: of the empty image a few sharp pixels would be found, not the object.
        chunk: Images scored at once on accelerators.

    Returns:
        The curve from the fill to the image; its area is large for a faithful map.

    References:
        Petsiuk et al., RISE, arXiv:1806.07421, section 4.2.
    """
    start = blurred(image) if fill is None else fill
    return _along(score, start, image, heatmap, steps, chunk)


def _along(score: Score, start: jax.Array, end: jax.Array, heatmap: jax.Array, steps: int, chunk: int) -> Curve:
    require_size(start, heatmap)
    if steps < 1:
        raise InputError(f"Expected at least one step, got {steps} instead.")
    ranks = ranks_of(heatmap)
    size = heatmap.size
    width = -(-size // steps)
    counts = np.append(np.arange(0, size, width), size)

    def perturb(count: jax.Array) -> jax.Array:
        return jnp.where((ranks < count)[..., jnp.newaxis], end, start)

    scores = scores_of(score, perturb, jnp.asarray(counts, jnp.int32), chunk=chunk)
    return Curve(jnp.asarray(counts / size, scores.dtype), scores)

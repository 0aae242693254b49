"""Average drop and increase in confidence: what the model says of the photo's part that a map keeps."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradcam_jax.evaluation.perturbed import Score, require_size


class ConfidenceChange(NamedTuple):
    """What becomes of a target's probability when a photo is reduced to what a map keeps of it.

    Attributes:
        drop: By which share it falls, from 0 to 1; over many photos its mean is the average drop, small for maps
            that keep what matters.
        increase: Whether it rises; over many photos its mean is the increase in confidence.
    """

    drop: jax.Array
    increase: jax.Array


def confidence_change(score: Score, image: jax.Array, heatmap: jax.Array) -> ConfidenceChange:
    r"""Compares a target's probability on a photo and on the photo multiplied by a map.

    .. math:: \mathrm{drop} = \frac{\max(0,\, Y^c - O^c)}{Y^c}, \qquad \mathrm{increase} = [Y^c < O^c]

    with :math:`Y^c` the probability on the photo and :math:`O^c` on :math:`L^c \circ I`.

    Args:
        score: The target's probability.
        image: As the model takes it, ``(H, W, 3)``.
        heatmap: In [0, 1], ``(H, W)``: normalise a map first.

    Returns:
        A :class:`ConfidenceChange` of scalars.

    Example:
        >>> image = jnp.full((1, 2, 1), 0.25)
        >>> confidence_change(jnp.sum, image, jnp.array([[1.0, 0.5]]))
        ConfidenceChange(drop=Array(0.25, dtype=float32), increase=Array(False, dtype=bool))

    References:
        Chattopadhyay et al., Grad-CAM++, arXiv:1710.11063, section 4.1.
    """
    require_size(image, heatmap)
    whole, kept = score(image), score(image * heatmap[..., jnp.newaxis])
    drop = jax.nn.relu(whole - kept) / jnp.maximum(whole, jnp.finfo(whole.dtype).tiny)
    return ConfidenceChange(drop, whole < kept)

"""How far two maps of the same thing agree: between precisions, devices, or ways to decode."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.stats


class Agreement(NamedTuple):
    """Two maps compared.

    Attributes:
        rank_correlation: Spearman's, of the two maps' values, in [-1, 1]; 1 if both are constant.
        difference: The largest absolute difference, as a share of the reference's largest magnitude.
        same_peak: Whether both are highest at the same position.
    """

    rank_correlation: jax.Array
    difference: jax.Array
    same_peak: jax.Array


def map_agreement(cam: jax.Array, reference: jax.Array) -> Agreement:
    r"""Compares two maps: Spearman's rank correlation, the largest difference, and where they peak.

    .. math:: \rho = \mathrm{corr}(\mathrm{rank}\,L, \mathrm{rank}\,L')

    with ties given their mean rank.

    Args:
        cam: A map, ``(h, w)``, signed.
        reference: What it should be, ``(h, w)``.

    Returns:
        An :class:`Agreement` of scalars.

    Raises:
        ValueError: If the shapes differ.

    Example:
        >>> import jax.numpy as jnp
        >>> same = map_agreement(jnp.array([[1.0, 3.0], [2.0, 9.0]]), jnp.array([[1.0, 3.0], [2.0, 8.0]]))
        >>> [float(value) for value in same]
        [1.0, 0.125, 1.0]
    """
    if cam.shape != reference.shape:
        raise ValueError(f"Expected two maps of one shape, got {cam.shape} and {reference.shape} instead.")
    ranks, reference_ranks = (_centred_ranks(values) for values in (cam, reference))
    size = jnp.sqrt(jnp.sum(ranks**2) * jnp.sum(reference_ranks**2))
    both_constant = (jnp.sum(ranks**2) + jnp.sum(reference_ranks**2)) == 0
    correlation = jnp.where(size > 0, jnp.sum(ranks * reference_ranks) / jnp.maximum(size, 1e-30), 0.0)
    largest = jnp.maximum(jnp.max(jnp.abs(reference)), 1e-30)
    return Agreement(
        jnp.where(both_constant, 1.0, correlation),
        jnp.max(jnp.abs(cam - reference)) / largest,
        jnp.argmax(cam) == jnp.argmax(reference),
    )


def _centred_ranks(values: jax.Array) -> jax.Array:
    ranks = jax.scipy.stats.rankdata(values.reshape(-1)).astype(jnp.float32)
    return ranks - jnp.mean(ranks)

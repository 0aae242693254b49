"""How much of a score is lost with another vector in a token's place: what the words of a question are worth.

A gradient says what a small change of a word's vector does, but words change as a whole. So the scores are
evaluated with another vector in the place of each.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def replacement_drops(
    scores_of: Callable[[jax.Array], jax.Array], vectors: jax.Array, vector: jax.Array, count: jax.Array | int
) -> jax.Array:
    r"""Returns by how much each target's score falls when one token after the other is replaced.

    .. math:: d_t = y(e_1, ..., e_t, ...) - y(e_1, ..., \bar e, ...)

    Args:
        scores_of: From the tokens' vectors to the targets' scores, ``(targets,)``.
        vectors: The tokens' vectors, ``(tokens, k)``.
        vector: What stands in for a token's, ``(k,)``.
        count: The number of tokens that are replaced, the first ones.

    Returns:
        ``(targets, tokens)`` of the scores' type, 0 for the other tokens.

    Example:
        >>> vectors = jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
        >>> replacement_drops(lambda vectors: vectors.sum(0), vectors, jnp.array([0.0, 1.0]), 2)
        Array([[1., 3., 0.],
               [1., 3., 0.]], dtype=float32)

    References:
        Li et al., Understanding Neural Networks through Representation Erasure, arXiv:1612.08220.
    """
    scores = scores_of(vectors)

    def replace(place: jax.Array, drops: jax.Array) -> jax.Array:
        return drops.at[:, place].set(scores - scores_of(vectors.at[place].set(vector)))

    return jax.lax.fori_loop(0, count, replace, jnp.zeros((len(scores), len(vectors)), scores.dtype))

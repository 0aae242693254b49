"""The log-probability of one word a step, whose gradients for many words cost little more than for one."""

from typing import Any

import jax
import jax.numpy as jnp


@jax.custom_vjp
def word_log_probabilities(hidden: jax.Array, kernel: jax.Array, bias: jax.Array, words: jax.Array) -> jax.Array:
    r"""Returns the log-probability that a softmax decoder gives to one word a step.

    .. math:: s_t = \log \mathrm{softmax}(W^T h_t + b)_{w_t}

    A step's score depends on that step's hidden vector alone, so its gradient
    :math:`\partial s_t / \partial h_t = W_{w_t} - W \mathrm{softmax}(W^T h_t + b)` is computed with the value,
    once for all steps. The backward pass of any sum of scores is then a product with that gradient, and K targets
    do not need K products with the vocabulary's matrix.

    Args:
        hidden: The recurrent net's hidden vectors, ``(..., steps, hidden)``.
        kernel: The decoder's matrix, ``(hidden, vocabulary)``.
        bias: The decoder's offsets, ``(vocabulary,)``.
        words: One token a step, ``(..., steps)`` int.

    Returns:
        The log-probabilities, ``(..., steps)``, of the hidden vectors' dtype.

    Example:
        >>> import jax.numpy as jnp
        >>> hidden, kernel = jnp.ones((1, 2)), jnp.array([[1.0, 0.0], [1.0, 0.0]])
        >>> word_log_probabilities(hidden, kernel, jnp.zeros(2), jnp.array([0])).round(3)
        Array([-0.127], dtype=float32)
    """
    return _log_probabilities(hidden, kernel, bias, words)


def _log_probabilities(hidden: jax.Array, kernel: jax.Array, bias: jax.Array, words: jax.Array) -> jax.Array:
    logits = hidden @ kernel
    logits = logits + bias.reshape((1,) * (logits.ndim - 1) + bias.shape)
    return jnp.take_along_axis(jax.nn.log_softmax(logits), words[..., jnp.newaxis], axis=-1)[..., 0]


def _forward(hidden: jax.Array, kernel: jax.Array, bias: jax.Array, words: jax.Array) -> tuple[jax.Array, Any]:
    scores, vjp = jax.vjp(lambda vectors: _log_probabilities(vectors, kernel, bias, words), hidden)
    (gradients,) = vjp(jnp.ones_like(scores))
    return scores, (gradients, hidden, kernel, bias, words)


def _backward(residuals: Any, cotangent: jax.Array) -> tuple[jax.Array | None, ...]:
    gradients, hidden, kernel, bias, words = residuals
    # The compiler drops this where the decoder's parameters are not differentiated.
    _, vjp = jax.vjp(lambda matrix, offset: _log_probabilities(hidden, matrix, offset, words), kernel, bias)
    return (cotangent[..., jnp.newaxis] * gradients, *vjp(cotangent), None)


word_log_probabilities.defvjp(_forward, _backward)

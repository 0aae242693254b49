"""The score of one word a step, whose gradients for many words cost little more than for one."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class WordScores(NamedTuple):
    """What a softmax decoder says of a caption's words, each after those before it.

    Attributes:
        log_probs: Log-probabilities, ``(..., T)``.
        scores: Those at a temperature, times it, ``(..., T)``: see :func:`word_scores`.
    """

    log_probs: jax.Array
    scores: jax.Array


def word_scores(
    hidden: jax.Array, kernel: jax.Array, bias: jax.Array, words: jax.Array, temperature: float
) -> WordScores:
    r"""Returns the log-probability of one word a step, and its score at a temperature.

    .. math:: s_t = \tau \log \mathrm{softmax}(y_t / \tau)_{w_t}, \quad
        \frac{\partial s_t}{\partial y_t} = e_{w_t} - \mathrm{softmax}(y_t / \tau)

    for the decoder's logits y. At 1 it is the log-probability, which hardly changes where the model is sure. The
    higher the temperature, the more words a word is compared with, and the less its score is settled by the words
    before it. At infinity the score is the logit.

    Args:
        hidden: The recurrent net's hidden vectors, ``(..., steps, hidden)``.
        kernel: The decoder's matrix, ``(hidden, vocabulary)``.
        bias: The decoder's offsets, ``(vocabulary,)``.
        words: One token a step, ``(..., steps)`` int.
        temperature: :math:`\tau`, over 0.

    References:
        Hinton et al., Distilling the Knowledge in a Neural Network, arXiv:1503.02531.

    Example:
        >>> import jax.numpy as jnp
        >>> hidden, kernel = jnp.ones((1, 2)), jnp.array([[1.0, 0.0], [1.0, 0.0]])
        >>> word_scores(hidden, kernel, jnp.zeros(2), jnp.array([0]), 2.0).scores.round(2)
        Array([-0.63], dtype=float32)
    """
    log_probs = word_log_probabilities(hidden, kernel, bias, words)
    if temperature == 1:
        return WordScores(log_probs, log_probs)
    if math.isinf(temperature):
        columns = jnp.moveaxis(jnp.take(kernel, words, axis=1), 0, -1)
        return WordScores(log_probs, jnp.sum(hidden * columns, axis=-1) + jnp.take(bias, words))
    softened = word_log_probabilities(hidden, kernel / temperature, bias / temperature, words)
    return WordScores(log_probs, temperature * softened)


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

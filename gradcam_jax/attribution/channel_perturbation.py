"""Weights of a layer's channels by what the score does when they change: Ablation-CAM and Score-CAM.

Both take the model as a function ``scores_of(stack)`` from a stack of variants of one example, ``(m, ...)``, to
the scores of all targets, ``(m, targets)``: the targets share every evaluation. They run in chunks, one after the
other, so that memory does not grow with the number of channels.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradcam_jax.attribution.layouts import Layout, channels_last
from gradcam_jax.attribution.resize_matrices import corner_aligned_matrix

StackScores = Callable[[jax.Array], jax.Array]


def ablation_weights(
    scores_of: StackScores, activation: jax.Array, *, layout: Layout = channels_last, chunk_size: int = 64
) -> jax.Array:
    r"""Weighs each channel by how much of a score is lost when the channel is set to zero.

    .. math:: w_k^c = \frac{y^c - y_k^c}{|y^c|}

    with :math:`y_k^c` the score without channel k. The paper divides by :math:`y^c` itself, which turns the map of
    a negative score, such as a log-probability, upside down; where scores are positive it is the same.

    Args:
        scores_of: From activations ``(m, ...)`` to scores ``(m, targets)``: the layers after the mapped one.
        activation: The layer's, of one example.
        layout: Arranges it as ``(positions ..., channels)``; what it leaves out, such as a class token, stays.
        chunk_size: Channels ablated at once, at most.

    Returns:
        ``(targets, k)``; zeros for a score of 0.

    Example:
        >>> import jax.numpy as jnp
        >>> activation = jnp.array([[[1.0, 3.0], [1.0, 5.0]]])
        >>> ablation_weights(lambda stack: jnp.sum(stack, axis=(1, 2, 3))[:, None], activation)
        Array([[0.2, 0.8]], dtype=float32)

    References:
        Desai and Ramaswamy, Ablation-CAM, WACV 2020.
    """
    arranged = jax.eval_shape(layout, activation)
    as_activation = jax.linear_transpose(layout, jax.ShapeDtypeStruct(activation.shape, activation.dtype))

    def without(channel: jax.Array) -> jax.Array:
        row = jax.nn.one_hot(channel, arranged.shape[-1], dtype=arranged.dtype)
        (chosen,) = as_activation(jnp.broadcast_to(row, arranged.shape))
        return jnp.where(chosen != 0, jnp.zeros_like(activation), activation)

    scores = scores_of(activation[jnp.newaxis])[0]
    ablated = in_chunks(
        lambda channels: scores_of(jax.vmap(without)(channels)), jnp.arange(arranged.shape[-1]), chunk_size
    )
    size = jnp.abs(scores)[jnp.newaxis]
    return jnp.where(size > 0, (scores[jnp.newaxis] - ablated) / jnp.where(size > 0, size, 1), 0).T


def score_weights(
    scores_of: StackScores, image: jax.Array, activations: jax.Array, *, chunk_size: int = 32
) -> jax.Array:
    r"""Weighs each channel by the score of the image seen through it.

    .. math:: w_k^c = \mathrm{softmax}_k\, y^c(X \circ H_k), \qquad
              H_k = \frac{U(A^k) - \min U(A^k)}{\max U(A^k) - \min U(A^k)}

    with U the corner-aligned enlargement to the image's size. The score of the paper's baseline is the same for
    every channel and falls out of the softmax. A constant channel shows nothing of the image.

    Args:
        scores_of: From images ``(m, H, W, 3)`` to scores ``(m, targets)``: the whole model, once a channel.
        image: What the model takes, its channels last.
        activations: The layer's, ``(positions ..., k)``, with as many axes of positions as the image has.
        chunk_size: Channels at once, at most.

    Returns:
        ``(targets, k)``, each row adding up to 1.

    Raises:
        ValueError: If the layer's positions are not along the image's axes.

    References:
        Wang et al., Score-CAM, arXiv:1910.01279, with the softmax of the published program.
    """
    if activations.ndim != image.ndim:
        raise ValueError(
            "Expected a layer with the image's axes, channels last, got activations "
            f"{activations.shape} of an image {image.shape} instead."
        )
    channels = activations.shape[-1]

    def seen_through(channel: jax.Array) -> jax.Array:
        mask = jax.lax.dynamic_index_in_dim(activations, channel, axis=-1, keepdims=False)
        for axis, length in enumerate(image.shape[:-1]):
            matrix = jnp.asarray(corner_aligned_matrix(mask.shape[axis], length), mask.dtype)
            enlarged = jnp.tensordot(matrix, mask, axes=(1, axis), precision=jax.lax.Precision.HIGHEST)
            mask = jnp.moveaxis(enlarged, 0, axis)
        mask = mask - jnp.min(mask)
        largest = jnp.max(mask)
        mask = jnp.where(largest > 0, mask / jnp.where(largest > 0, largest, 1), 0)
        return image * mask[..., jnp.newaxis].astype(image.dtype)

    scores = in_chunks(lambda some: scores_of(jax.vmap(seen_through)(some)), jnp.arange(channels), chunk_size)
    return jax.nn.softmax(scores, axis=0).T


def in_chunks(function: Callable[[jax.Array], Any], values: jax.Array, chunk_size: int) -> Any:
    """Applies a function of a stack to a long one, chunk after chunk of nearly equal length.

    Args:
        function: From ``(m, ...)`` to arrays ``(m, ...)``.
        values: ``(n, ...)``.
        chunk_size: The longest chunk.

    Returns:
        ``(n, ...)``.

    Example:
        >>> import jax.numpy as jnp
        >>> in_chunks(lambda stack: 2 * stack, jnp.arange(5), 3).tolist()
        [0, 2, 4, 6, 8]
    """
    if chunk_size < 1:
        raise ValueError(f"Expected a chunk_size of 1 or more, got {chunk_size} instead.")
    count = len(values)
    chunks = -(-count // chunk_size)
    length = -(-count // chunks)
    # The last values once more, where they do not fill the chunks.
    padded = values[jnp.minimum(jnp.arange(chunks * length), count - 1)]
    results = jax.lax.map(function, padded.reshape((chunks, length, *values.shape[1:])))
    return jax.tree.map(lambda leaf: leaf.reshape((chunks * length, *leaf.shape[2:]))[:count], results)

"""Tokens of a text that a model was given: their scores and their targets, all from one forward pass.

An autoregressive model that is fed a text returns logits for every token of it, each given the tokens before
(teacher forcing). A token, a word of several, a phrase and the whole text are targets with masks of their own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gradcam_jax.errors import InputError


def token_targets(tokens: Any, spans: Sequence[Any] | jax.Array | None = None) -> dict[str, jax.Array]:
    """Returns the targets of a text's tokens or spans, as :func:`gradcam_jax.explain` takes them.

    Args:
        tokens: The texts', ``(n, t)`` int, padded to one length.
        spans: What is explained, each as its first token and the one after its last: ``(m, 2)`` int for all texts,
            or ``(n, m, 2)``; an empty span has the score 0. Every token on its own if left out.

    Returns:
        ``{"tokens": (n, m, t), "mask": (n, m, t)}``, targets of :func:`token_score` and :func:`next_token_score`.

    Raises:
        InputError: If the tokens or the spans have another shape.

    Example:
        >>> import jax.numpy as jnp
        >>> targets = token_targets(jnp.array([[7, 8, 9]]), [(0, 3), (1, 2)])
        >>> targets["mask"].tolist()
        [[[1.0, 1.0, 1.0], [0.0, 1.0, 0.0]]]
    """
    tokens = jnp.asarray(tokens)
    if tokens.ndim != 2 or not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise InputError(
            f"Expected the tokens of n texts, (n, t) int, got {tokens.dtype} of shape {tokens.shape} instead. "
            "One text is tokens[None]."
        )
    count, length = tokens.shape
    places = jnp.arange(length)
    edges = jnp.stack([places, places + 1], axis=-1) if spans is None else jnp.asarray(spans)
    if edges.ndim not in (2, 3) or edges.shape[-1] != 2 or (edges.ndim == 3 and edges.shape[0] != count):
        raise InputError(
            f"Expected spans of a first token and the one after the last, (m, 2) or ({count}, m, 2), got shape "
            f"{edges.shape} instead."
        )
    edges = jnp.broadcast_to(edges, (count, *edges.shape[-2:]))
    places = places.reshape(1, 1, length)
    mask = (edges[..., :1] <= places) & (places < edges[..., 1:])
    repeated = jnp.broadcast_to(tokens[:, jnp.newaxis], mask.shape)
    return {"tokens": repeated, "mask": mask.astype(jnp.float32)}


def token_score(logits: jax.Array, target: Mapping[str, jax.Array]) -> jax.Array:
    r"""Adds up the log-probabilities of some tokens of a text that a model was given (teacher forcing).

    .. math:: S = \sum_j m_j \log p(w_j \mid x, w_{<j})

    Args:
        logits: ``(t, vocabulary)``; those at j are for token j, given the tokens before it. Many models return at
            j what is for token j + 1: theirs is :func:`next_token_score`.
        target: ``{"tokens": (t,) int, "mask": (t,)}``; the mask is 1 where a token counts. Tokens that do not
            count may be any number.

    Raises:
        InputError: If there are other than t logits.

    Example:
        >>> import jax.numpy as jnp
        >>> target = {"tokens": jnp.array([1, 0]), "mask": jnp.array([1.0, 0.0])}
        >>> token_score(jnp.zeros((2, 4)), target)  # log(1 / 4)
        Array(-1.3862944, dtype=float32)
    """
    tokens, mask = target["tokens"], target["mask"].astype(logits.dtype)
    if logits.ndim != 2 or logits.shape[0] != tokens.shape[0]:
        raise InputError(
            f"Expected logits of each of {tokens.shape[0]} tokens, ({tokens.shape[0]}, vocabulary), got shape "
            f"{logits.shape} instead. Of a model that returns logits for the image's tokens too, or for the next "
            "token: next_token_score."
        )
    chosen = jnp.take_along_axis(logits, tokens[:, jnp.newaxis], axis=-1)[:, 0]
    log_probs = chosen - jax.nn.logsumexp(logits, axis=-1)
    return jnp.sum(jnp.where(mask != 0, log_probs * mask, jnp.zeros_like(mask)))


def next_token_score(logits: jax.Array, target: Mapping[str, jax.Array]) -> jax.Array:
    r"""Adds up tokens' log-probabilities, of a model whose logits at j are for what follows its j-th input.

    .. math:: S = \sum_j m_j \log p(w_j \mid x, w_{<j})

    So are nearly all decoders that are fed the text itself, not the text moved by a start token.

    Args:
        logits: ``(inputs, vocabulary)``; the text's tokens are the last of the inputs. With inputs before them, an
            image's tokens or a prompt, every token of the text has a score; without, the first has none: 0.
        target: As for :func:`token_score`.

    Raises:
        InputError: If there are fewer logits than tokens.

    Example:
        >>> import jax.numpy as jnp
        >>> target = {"tokens": jnp.array([1, 0]), "mask": jnp.array([1.0, 1.0])}
        >>> next_token_score(jnp.zeros((2, 4)), target)  # the second token's alone
        Array(-1.3862944, dtype=float32)
        >>> next_token_score(jnp.zeros((5, 4)), target)  # after three tokens of an image
        Array(-2.7725887, dtype=float32)
    """
    tokens, mask = target["tokens"], target["mask"]
    if logits.ndim != 2 or logits.shape[0] < tokens.shape[0]:
        raise InputError(
            f"Expected logits of at least {tokens.shape[0]} inputs, those of the text, (inputs, vocabulary), got "
            f"shape {logits.shape} instead."
        )
    scored = min(logits.shape[0] - 1, tokens.shape[0])
    before = logits.shape[0] - 1 - scored
    first = tokens.shape[0] - scored
    return token_score(logits[before:-1], {"tokens": tokens[first:], "mask": mask[first:]})

"""Captions from a net's next-word probabilities, by beam search.

For one caption and any net: a *step* reads one token and returns the new state and the log-probabilities of the
next word, for any number of leading axes. ``jax.vmap`` decodes a batch of images, ``jax.jit`` compiles.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradcam_jax.errors import InputError

State = Any
Step = Callable[[State, jax.Array], tuple[State, jax.Array]]


class Decoded(NamedTuple):
    """Captions, best first.

    Attributes:
        tokens: ``(..., steps)`` int32; END from the caption's end on.
        length: Words before END, ``(...)`` int32.
        log_prob: Sum of the words' log-probabilities, and END's if it was reached, ``(...)``. Where a beam search
            has fewer captions than beams, the others have length 0 and minus infinity.
    """

    tokens: jax.Array
    length: jax.Array
    log_prob: jax.Array


def beam_search(
    step: Step, state: State, *, width: int, end: int, steps: int, length_exponent: float = 0.0
) -> Decoded:
    r"""Keeps the most probable beams, by neuraltalk2's rules, and returns the finished captions.

    The first word comes from one beam; then each of ``width`` beams proposes its ``width`` most probable words,
    and the most probable proposals become the beams. A beam that writes END, or reaches the last step, is a
    finished caption and *remains* a beam, which may displace others. Finished captions are ranked by
    :math:`\log p / n^\lambda`, n the number of tokens with END.

    Args:
        step: ``(state (width, ...), tokens (width,)) -> (state, log-probabilities (width, V + 1))``.
        state: Before START, without the axis of beams.
        width: Number of beams, at most V + 1; 1 takes the most probable word at each step.
        end: The token that is both START and END.
        steps: The most words.
        length_exponent: :math:`\lambda`: 0, neuraltalk2's, favours short captions; 1 ranks by the mean.

    Returns:
        ``width`` captions, best first; empty ones of minus infinity come last.

    Raises:
        InputError: If the width is not between 1 and the number of tokens.

    References:
        karpathy/neuraltalk2, ``misc/LanguageModel.lua``, ``sample_beam``.
    """
    tokens = end + 1
    if not 1 <= width <= tokens:
        raise InputError(f"Expected a beam of 1 to {tokens} (the number of words), got {width} instead.")
    search = _Search(
        state=jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (width, *leaf.shape)), state),
        beams=_empty_captions(width, steps, end)._replace(log_prob=jnp.full(width, -jnp.inf).at[0].set(0.0)),
        ended=jnp.zeros(width, bool),
        finished=_empty_captions(width, steps, end),
        scores=jnp.full(width, -jnp.inf),
        time=jnp.zeros((), jnp.int32),
    )

    def is_unfinished(search: _Search) -> jax.Array:
        return (search.time < steps) & ~jnp.all(search.ended)

    def extend(search: _Search) -> _Search:
        previous = search.beams.tokens[:, jnp.maximum(search.time - 1, 0)]  # at time 0 END, which is START
        state, log_probs = step(search.state, previous)
        proposals, words = jax.lax.top_k(log_probs, width)
        sums, best = jax.lax.top_k((search.beams.log_prob[:, jnp.newaxis] + proposals).reshape(-1), width)
        parents, words = best // width, words.reshape(-1)[best].astype(jnp.int32)
        parent_ended = search.ended[parents]
        beams = Decoded(
            search.beams.tokens[parents].at[:, search.time].set(words),
            search.beams.length[parents] + jnp.where(words == end, 0, 1),
            sums,
        )
        finishes = ~parent_ended & ((words == end) | (search.time == steps - 1)) & (sums > -jnp.inf)
        finished, scores = _rank(search, beams, finishes, length_exponent, end)
        return _Search(
            state=jax.tree.map(lambda leaf: leaf[parents], state),
            beams=beams,
            ended=parent_ended | (words == end),
            finished=finished,
            scores=scores,
            time=search.time + 1,
        )

    return jax.lax.while_loop(is_unfinished, extend, search).finished


class _Search(NamedTuple):
    state: State
    beams: Decoded
    ended: jax.Array
    finished: Decoded
    scores: jax.Array
    time: jax.Array


def _rank(
    search: _Search, beams: Decoded, finishes: jax.Array, length_exponent: float, end: int
) -> tuple[Decoded, jax.Array]:
    """Merges the newly finished captions into the earlier ones and keeps the best."""
    tokens = (search.time + 1).astype(jnp.float32)
    scores = jnp.where(finishes, beams.log_prob / tokens**length_exponent, -jnp.inf)
    scores, best = jax.lax.top_k(jnp.concatenate([search.scores, scores]), scores.shape[0])

    def newly_finished(leaf: jax.Array, empty: jax.Array) -> jax.Array:
        return jnp.where(finishes.reshape((-1,) + (1,) * (leaf.ndim - 1)), leaf, empty)

    width, steps = beams.tokens.shape
    new = jax.tree.map(newly_finished, beams, _empty_captions(width, steps, end))
    return jax.tree.map(lambda old, now: jnp.concatenate([old, now])[best], search.finished, new), scores


def _empty_captions(width: int, steps: int, end: int) -> Decoded:
    return Decoded(
        jnp.full((width, steps), end, jnp.int32), jnp.zeros(width, jnp.int32), jnp.full(width, -jnp.inf)
    )

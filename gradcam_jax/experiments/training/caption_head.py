"""Runs a captioner's head over many photos' features: what it writes, how likely it finds what people wrote."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.experiments.batches import in_batches
from gradcam_jax.experiments.data.captioned_views import CaptionedView
from gradcam_jax.experiments.data.captions import CaptionArrays, encode_captions, training_words
from gradcam_jax.experiments.metrics.captions import caption_scores, perplexity
from gradcam_jax.models.captioner import MAX_WORDS, Captioner
from gradcam_jax.models.decoding import beam_search
from gradcam_jax.text.captions import decode_tokens
from gradcam_jax.text.vocabulary import Vocabulary

Params = Mapping[str, Any]

_ROWS_AT_ONCE = 128


def validation_scores(
    model: Captioner,
    params: Params,
    features: np.ndarray,
    views: Sequence[CaptionedView],
    vocabulary: Vocabulary,
) -> dict[str, float]:
    """Returns perplexity, CIDEr and BLEU-4 (greedy) on captioned views, from their features ``(views, F)``."""
    captions = encode_captions([view.captions for view in views], vocabulary)
    log_probs, counted = token_log_probs(model, params, features, captions)
    scores = caption_scores(written_captions(model, params, features, vocabulary, width=1), references(views))
    return {
        "validation_perplexity": perplexity(log_probs, counted),
        "validation_cider": scores["cider"],
        "validation_bleu_4": scores["bleu_4"],
    }


def references(views: Sequence[CaptionedView]) -> list[list[str]]:
    """Returns each view's captions as the scorer compares them: lower case, without punctuation."""
    return [[" ".join(training_words(caption)) for caption in view.captions] for view in views]


def written_captions(
    model: Captioner,
    params: Params,
    features: np.ndarray,
    vocabulary: Vocabulary,
    *,
    width: int,
    length_exponent: float = 0.0,
) -> list[str]:
    """Writes one caption for each photo's features ``(photos, F)``, by beam search."""
    write = functools.partial(_write, model, width, length_exponent, params)
    tokens = in_batches(write, features, batch_size=_ROWS_AT_ONCE)
    return [decode_tokens(row, vocabulary) for row in tokens]


def token_log_probs(
    model: Captioner, params: Params, features: np.ndarray, captions: CaptionArrays
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the log-probability of every word and END of captions, and which count, ``(n, MAX_WORDS + 1)``."""
    say = functools.partial(_say, model, params)
    values = in_batches(say, features[captions.photos], captions.tokens, batch_size=_ROWS_AT_ONCE)
    return values, np.arange(values.shape[1])[np.newaxis] <= captions.lengths[:, np.newaxis]


def spoken_log_probs(log_probs: jax.Array, tokens: jax.Array, end: int) -> jax.Array:
    """Picks, of ``(..., T + 1, words + 1)``, what tokens ``(..., T)`` say at each step: their words, then END."""
    spoken = jnp.concatenate([tokens, jnp.full((*tokens.shape[:-1], 1), end, tokens.dtype)], axis=-1)
    return jnp.take_along_axis(log_probs, spoken[..., jnp.newaxis], axis=-1)[..., 0]


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _write(model: Captioner, width: int, length_exponent: float, params: Params, features: jax.Array) -> jax.Array:
    variables = {"params": params}
    step: Any = functools.partial(model.apply, variables, method="advance")

    def write(features: jax.Array) -> jax.Array:
        vector = model.apply(variables, features, method="embed_features")
        state: Any = model.apply(variables, vector, method="begin")
        return beam_search(
            step, state, width=width, end=model.words, steps=MAX_WORDS, length_exponent=length_exponent
        ).tokens[0]

    return jax.vmap(write)(features)


@functools.partial(jax.jit, static_argnums=0)
def _say(model: Captioner, params: Params, features: jax.Array, tokens: jax.Array) -> jax.Array:
    vector = model.apply({"params": params}, features, method="embed_features")
    log_probs: Any = model.apply({"params": params}, vector, tokens, method="continuations")
    return spoken_log_probs(log_probs, tokens, model.words)

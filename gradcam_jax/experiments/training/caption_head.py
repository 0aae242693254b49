"""Runs a captioner's head over many photos' features: what it writes, how likely it finds what people wrote."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.experiments.data.captions import CaptionArrays
from gradcam_jax.models.captioner import Captioner
from gradcam_jax.tasks.captioning import captions_from_vector
from gradcam_jax.text.captions import decode_tokens
from gradcam_jax.text.vocabulary import Vocabulary

Params = Mapping[str, Any]

_ROWS_AT_ONCE = 128


def written_captions(
    model: Captioner,
    params: Params,
    features: np.ndarray,
    vocabulary: Vocabulary,
    *,
    width: int,
    length_exponent: float = 0.0,
) -> list[str]:
    """Writes one caption for each photo, by beam search.

    Args:
        model: The captioner.
        params: The head's parameters; the CNN's are not needed.
        features: What the CNN says of each photo, ``(photos, F)``.
        vocabulary: The model's words.
        width: Number of beginnings kept.
        length_exponent: See :func:`gradcam_jax.models.decoding.beam_search`.
    """
    tokens = _in_batches(functools.partial(_write, model, width, length_exponent, params), features)
    return [decode_tokens(row, vocabulary) for row in tokens]


def token_log_probs(
    model: Captioner, params: Params, features: np.ndarray, captions: CaptionArrays
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the log-probability of every word and END of given captions.

    Args:
        model: The captioner.
        params: The head's parameters.
        features: ``(photos, F)``.
        captions: Of these photos.

    Returns:
        The log-probabilities and which of them count, two ``(captions, MAX_WORDS + 1)``.
    """
    values = _in_batches(functools.partial(_say, model, params), features[captions.photos], captions.tokens)
    return values, np.arange(values.shape[1])[np.newaxis] <= captions.lengths[:, np.newaxis]


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _write(model: Captioner, width: int, length_exponent: float, params: Params, features: jax.Array) -> jax.Array:
    variables = {"params": params}

    def write(features: jax.Array) -> jax.Array:
        vector = model.apply(variables, features, method="embed_features")
        found = captions_from_vector(model, variables, vector, width=width, length_exponent=length_exponent)
        return found.tokens[0]

    return jax.vmap(write)(features)


@functools.partial(jax.jit, static_argnums=0)
def _say(model: Captioner, params: Params, features: jax.Array, tokens: jax.Array) -> jax.Array:
    vector = model.apply({"params": params}, features, method="embed_features")
    log_probs: Any = model.apply({"params": params}, vector, tokens, method="continuations")
    ends = jnp.full((tokens.shape[0], 1), model.words, tokens.dtype)
    said = jnp.concatenate([tokens, ends], axis=-1)
    return jnp.take_along_axis(log_probs, said[..., jnp.newaxis], axis=-1)[..., 0]


def _in_batches(function: Callable[..., jax.Array], *arrays: np.ndarray) -> np.ndarray:
    """Runs a compiled function over rows, the last batch padded so that nothing is compiled twice."""
    results = []
    for start in range(0, len(arrays[0]), _ROWS_AT_ONCE):
        rows = [array[start : start + _ROWS_AT_ONCE] for array in arrays]
        count = len(rows[0])
        padded = [np.concatenate([row, np.repeat(row[-1:], _ROWS_AT_ONCE - count, axis=0)]) for row in rows]
        results.append(np.asarray(function(*padded))[:count])
    return np.concatenate(results)

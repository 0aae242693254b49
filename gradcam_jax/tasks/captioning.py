"""Image captioning: a target is a span of the caption's words, its score the sum of the words'."""

import functools
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.attribution.maps import counterfactual_grad_cam, grad_cam
from gradcam_jax.engine.core import Parts
from gradcam_jax.engine.spec import Spec
from gradcam_jax.errors import InputError
from gradcam_jax.models.captioner import MAX_WORDS
from gradcam_jax.tasks.caption_records import describe_caption, record_caption, spans_of
from gradcam_jax.tasks.rows import Description
from gradcam_jax.tasks.spoken import Spoken, reading_again, span_score, speaking
from gradcam_jax.tasks.task import (
    DEFAULT_SETTING,
    Plan,
    Request,
    Setting,
    Task,
    preprocessing_and_size,
    temperature_of,
    temperature_setting,
)
from gradcam_jax.text.captions import Caption, UnknownWordsWarning, encode_caption
from gradcam_jax.zoo import Loaded, find_layer

LENGTH_EXPONENT = 0.5
"""Chosen by CIDEr and BLEU-4 on validation photos: neuraltalk2's plain sum favours captions that stop early."""

BEAM_SIZE = 3


def captioning(
    loaded: Loaded,
    setting: Setting = DEFAULT_SETTING,
    *,
    caption: str = "",
    phrases: str = "",
    beam_size: int = BEAM_SIZE,
    length_exponent: float = LENGTH_EXPONENT,
    keep_case: bool = False,
    temperature: float = 0.0,
) -> Task:
    """Returns the task of explaining captions, whole and word by word, from one forward pass of the CNN.

    The signed maps of the words add up to the caption's, and to a phrase's.

    Args:
        loaded: A captioner.
        setting: How it is fed and mapped.
        caption: The caption of every photo that brings none itself; empty: the one that the model writes.
        phrases: Comma-separated phrases of the caption to explain as well.
        beam_size: Beams kept while captions are written; 1 is the original program's greedy choice.
        length_exponent: How captions of different lengths are compared while writing; 0 is neuraltalk2's sum.
        keep_case: Whether capitals of a given caption are left, as in the original program.
        temperature: At which words are scored, see :func:`gradcam_jax.models.word_scores.word_scores`: 1 is the
            original program's log-probability; 0: the model's own, ``loaded.entry.temperature``.

    Raises:
        InputError: If the caption cannot be read, or there is no such layer, preprocessing or temperature.

    References:
        Selvaraju et al., Grad-CAM, arXiv:1610.02391, section 7.1; ramprs/grad-cam, ``captioning.lua``.
    """
    preprocessing, size = preprocessing_and_size(loaded, setting)
    layer = find_layer(loaded, setting.layer, size)
    temperature = temperature_of(loaded, temperature, original=1.0)
    if not 1 <= beam_size <= len(loaded.words) + 1:
        raise InputError(
            f"Expected a beam of 1 to {len(loaded.words) + 1} (the number of words), got {beam_size} instead."
        )
    read = functools.partial(encode_caption, vocabulary=loaded.words, lower=not keep_case)
    everywhere = read(caption) if caption.strip() else None
    if everywhere:
        spans_of(phrases, everywhere.words)  # a phrase that is not in it is an error before anything is computed

    def caption_of(request: Request) -> Caption | None:
        own = request.get("caption", "")
        if not own.strip():
            return everywhere
        with warnings.catch_warnings():
            # Of a million captions not each can be warned about; UNK stands in the tokens.
            warnings.simplefilter("ignore", UnknownWordsWarning)
            return read(own)

    def encode(request: Request) -> dict[str, np.ndarray]:
        given = caption_of(request)
        if given is None:
            return {"tokens": np.full(MAX_WORDS, len(loaded.words), np.int32), "length": np.array(0, np.int32)}
        return {"tokens": given.tokens, "length": np.array(len(given.words), np.int32)}

    def record(results: Mapping[str, np.ndarray], request: Request) -> dict[str, Any]:
        asked = {"caption": request.get("caption", "").strip() or caption.strip()}
        return {"request": asked, **record_caption(results, loaded.words, caption_of(request))}

    def describe(results: Mapping[str, np.ndarray], request: Request) -> Description:
        wanted = request.get("phrases") or phrases
        typed = request.get("caption", "").strip() or caption.strip()
        return describe_caption(results, loaded.words, caption_of(request), phrases=wanted, file_name=typed)

    method = counterfactual_grad_cam if setting.counterfactual else grad_cam
    spec = Spec(span_score, (("cam", layer, method),), _spans, guided_targets=(0, 1, None))
    numbers = {
        "beam_size": beam_size,
        "length_exponent": length_exponent,
        "temperature": temperature_setting(temperature),
    }
    return Task(
        name="captioning",
        loaded=loaded,
        layer=layer,
        size=size,
        forward=loaded.tapped(layer, method=speaking(beam_size, length_exponent, temperature)),
        plan=Plan(preprocessing, spec, ("tokens", "length"), _summarise, reading_again(temperature)),
        settings={"caption": caption, "keep_case": keep_case, **numbers},
        encode=encode,
        record=record,
        describe=describe,
    )


def _spans(spoken: Spoken, targets: Any) -> jax.Array:
    """Chooses the whole caption, then each of its words: ``(1 + MAX_WORDS, MAX_WORDS)`` float32."""
    del targets
    marked = (jnp.arange(MAX_WORDS) < spoken.length).astype(spoken.words.scores.dtype)
    return jnp.concatenate([marked[jnp.newaxis], jnp.diag(marked)])


def _summarise(parts: Parts) -> dict[str, jax.Array]:
    """Returns what is kept of a batch: the caption's map and its words', scores, tokens, what the model wrote."""
    spoken: Spoken = parts.outputs
    assert spoken.written is not None
    others = {name: maps for name, maps in parts.maps.items() if name != "cam"}
    return {
        "cam": parts.maps["cam"][:, :1],
        "word_cams": parts.maps["cam"][:, 1:],
        **{name: maps[:, :1] for name, maps in others.items()},
        **{f"word_{name}": maps[:, 1:] for name, maps in others.items()},
        "tokens": spoken.tokens,
        "length": spoken.length,
        "scores": parts.scores[:, :1],
        "word_scores": parts.scores[:, 1:],
        "word_log_probs": spoken.words.log_probs,
        "written": spoken.written.tokens,
        "written_lengths": spoken.written.length,
        "written_log_probs": spoken.written.log_prob,
    }

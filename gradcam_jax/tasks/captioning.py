"""Image captioning: a target is a span of the caption's words, its score the sum of their log-probabilities."""

import functools
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.attribution.maps import counterfactual_grad_cam, grad_cam
from gradcam_jax.engine.core import Parts
from gradcam_jax.engine.spec import Spec
from gradcam_jax.errors import InputError
from gradcam_jax.interception.linen import tapped
from gradcam_jax.models.captioner import MAX_WORDS
from gradcam_jax.tasks.indices import blank_note, guided_parts
from gradcam_jax.tasks.methods import other_maps
from gradcam_jax.tasks.rows import Description, Row
from gradcam_jax.tasks.spoken import Spoken, read_again, span_score, speaking
from gradcam_jax.tasks.task import DEFAULT_SETTING, Plan, Request, Setting, Task, preprocessing_and_size
from gradcam_jax.text.captions import Caption, UnknownWordsWarning, encode_caption, find_phrase
from gradcam_jax.text.vocabulary import UNKNOWN, Vocabulary
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

    Raises:
        InputError: If the caption cannot be read, or there is no such layer or preprocessing.

    References:
        Selvaraju et al., Grad-CAM, arXiv:1610.02391, section 7.1; ramprs/grad-cam, ``captioning.lua``.
    """
    preprocessing, size = preprocessing_and_size(loaded, setting)
    layer = find_layer(loaded, setting.layer, size)
    if not 1 <= beam_size <= len(loaded.words) + 1:
        raise InputError(
            f"Expected a beam of 1 to {len(loaded.words) + 1} (the number of words), got {beam_size} instead."
        )
    read = functools.partial(encode_caption, vocabulary=loaded.words, lower=not keep_case)
    everywhere = read(caption) if caption.strip() else None
    if everywhere:
        _spans_of(phrases, everywhere.words)  # a phrase that is not in it is an error before anything is computed

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

    def describe(results: Mapping[str, np.ndarray], request: Request) -> Description:
        wanted = request.get("phrases") or phrases
        typed = request.get("caption", "").strip() or caption.strip()
        return describe_caption(results, loaded.words, caption_of(request), phrases=wanted, file_name=typed)

    method = counterfactual_grad_cam if setting.counterfactual else grad_cam
    spec = Spec(span_score, (("cam", layer, method),), _spans, guided_targets=(0, 1, None))
    search = {"beam_size": beam_size, "length_exponent": length_exponent}
    return Task(
        name="captioning",
        loaded=loaded,
        layer=layer,
        size=size,
        forward=tapped(loaded.model, loaded.variables, layer, method=speaking(beam_size, length_exponent)),
        plan=Plan(preprocessing, spec, ("tokens", "length"), _summarise, read_again),
        settings={"caption": caption, "keep_case": keep_case, **search},
        encode=encode,
        predict=lambda results, request: _explained(results, loaded.words, caption_of(request)).text,
        describe=describe,
    )


def describe_caption(
    results: Mapping[str, np.ndarray],
    vocabulary: Vocabulary,
    given: Caption | None,
    *,
    phrases: str = "",
    file_name: str = "",
) -> Description:
    """Says what was explained of a caption, word by word, and what the model writes itself.

    Args:
        results: One photo's.
        vocabulary: The model's words.
        given: The caption asked about, or None for the one that the model wrote.
        phrases: Comma-separated phrases of it.
        file_name: What its files carry; empty: its words.

    Raises:
        InputError: If the model wrote no word, or a phrase does not stand in the caption.
    """
    caption = _explained(results, vocabulary, given)
    written = [
        {"caption": _caption_of(tokens, int(length), vocabulary).text, "log_prob": float(log_prob)}
        for tokens, length, log_prob in zip(
            results["written"], results["written_lengths"], results["written_log_probs"], strict=True
        )
        if length > 0 and math.isfinite(log_prob)
    ]
    scores, cams = results["word_scores"], results["word_cams"]
    words = [
        _part(word, float(score), np.asarray(cam), {"word": word, "known": known})._replace(
            maps=other_maps(results, place, "word_")
        )
        for place, (word, known, score, cam) in enumerate(
            zip(caption.words, caption.known, scores, cams, strict=False)
        )
    ]
    parts = []
    for start, stop in _spans_of(phrases, caption.words):
        text = " ".join(caption.words[start:stop])
        cam, score = np.sum(cams[start:stop], axis=0), float(np.sum(scores[start:stop]))
        parts.append(_part(text, score, cam, {"phrase": text, "words": [start, stop]}))
    whole = Row(
        caption.text,
        file_name or caption.text,
        caption.text,
        float(results["scores"][0]),
        np.asarray(results["cam"][0]),
        {"caption": caption.text},
        **guided_parts(results, 0),
        maps=other_maps(results, 0),
    )
    lines = [] if given else ["No caption provided, using generated caption for Grad-CAM."]
    lines += [f"Generated caption:\t{one['caption']}  (log-probability {one['log_prob']:.2f})" for one in written]
    lines += [f"Grad-CAM caption:\t{caption.text}  (log-probability of its words {whole.score:.2f})"]
    lines += [f"  {word.name:<14}{math.exp(word.score):7.1%}{blank_note(word.cam)}" for word in words]
    fields = {
        "caption": caption.text,
        "log_prob": whole.score,
        "all_negative": whole.all_negative,
        **whole.map_fields,
        "generated": written,
        "words": [_fields(word) for word in words],
        "phrases": [_fields(part) for part in parts],
    }
    return Description(f"Why '{caption.text}'?", caption.text, [whole], words, parts, lines, fields)


def _part(name: str, score: float, cam: np.ndarray, fields: dict[str, Any]) -> Row:
    return Row(name, name, name, score, cam, fields)


def _spans_of(phrases: str, words: Sequence[str]) -> list[tuple[int, int]]:
    return [find_phrase(part.strip(), words) for part in phrases.split(",") if part.strip()]


def _fields(row: Row) -> dict[str, Any]:
    return {**row.fields, "log_prob": row.score, "all_negative": row.all_negative, **row.map_fields}


def _spans(spoken: Spoken, targets: Any) -> jax.Array:
    """Chooses the whole caption, then each of its words: ``(1 + MAX_WORDS, MAX_WORDS)`` float32."""
    del targets
    marked = (jnp.arange(MAX_WORDS) < spoken.length).astype(spoken.word_scores.dtype)
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
        "written": spoken.written.tokens,
        "written_lengths": spoken.written.length,
        "written_log_probs": spoken.written.log_prob,
    }


def _explained(results: Mapping[str, np.ndarray], vocabulary: Vocabulary, given: Caption | None) -> Caption:
    """Returns the caption given, else the one that the model wrote; raises InputError if that is empty."""
    caption = given or _caption_of(results["tokens"], int(results["length"]), vocabulary)
    if not caption.words:
        raise InputError("The model wrote an empty caption. Give one:  --caption 'a dog and a cat'")
    return caption


def _caption_of(tokens: np.ndarray, length: int, vocabulary: Vocabulary) -> Caption:
    words = tuple(vocabulary.entries[token] for token in tokens[:length])
    padded = np.full(MAX_WORDS, len(vocabulary), np.int32)
    padded[: len(words)] = tokens[: len(words)]
    return Caption(words, tuple(word != UNKNOWN for word in words), padded)

"""What is said of a photo's caption: for people, and for a run's manifest."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.models.captioner import MAX_WORDS
from gradcam_jax.tasks.indices import blank_note, guided_parts, strength_of
from gradcam_jax.tasks.methods import other_maps
from gradcam_jax.tasks.rows import Description, Row
from gradcam_jax.text.captions import Caption, find_phrase
from gradcam_jax.text.vocabulary import UNKNOWN, Vocabulary


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
    written = _written(results, vocabulary)
    scores, cams, log_probs = (results[name] for name in ("word_scores", "word_cams", "word_log_probs"))
    words = [
        _part(
            word,
            float(scores[place]),
            np.asarray(cams[place]),
            {"word": word, "known": known, "log_prob": float(log_probs[place])},
        )._replace(maps=other_maps(results, place, "word_"))
        for place, (word, known) in enumerate(zip(caption.words, caption.known, strict=True))
    ]
    parts, log_prob = [], _log_prob(results, caption)
    for start, stop in spans_of(phrases, caption.words):
        text = " ".join(caption.words[start:stop])
        cam, score, sum_of_logs = (np.sum(values[start:stop], axis=0) for values in (cams, scores, log_probs))
        fields = {"phrase": text, "words": [start, stop], "log_prob": float(sum_of_logs)}
        parts.append(_part(text, float(score), cam, fields))
    whole = Row(
        caption.text,
        file_name or caption.text,
        caption.text,
        float(results["scores"][0]),
        np.asarray(results["cam"][0]),
        {"caption": caption.text, "log_prob": log_prob},
        **guided_parts(results, 0),
        maps=other_maps(results, 0),
    )
    lines = [] if given else ["No caption provided, using generated caption for Grad-CAM."]
    lines += [
        f"Generated caption:\t{one['caption']}  (log-probability with its end {one['log_prob']:.2f})"
        for one in written
    ]
    lines += [f"Grad-CAM caption:\t{caption.text}  (log-probability of its words {log_prob:.2f})"]
    lines += [
        f"  {word.name:<14}{math.exp(word.log_prob):7.1%}  map {share:.2f}{blank_note(word.cam)}"
        for word, share in zip(words, _shares(words), strict=True)
    ]
    fields = {
        "caption": caption.text,
        "log_prob": log_prob,
        "score": whole.score,
        "all_negative": whole.all_negative,
        **whole.map_fields,
        "generated": written,
        "words": [_fields(word) for word in words],
        "phrases": [_fields(part) for part in parts],
    }
    return Description(f"Why '{caption.text}'?", caption.text, [whole], words, parts, lines, fields)


def record_caption(
    results: Mapping[str, np.ndarray], vocabulary: Vocabulary, given: Caption | None
) -> dict[str, Any]:
    """Returns what a run's manifest says of one photo's caption.

    Args:
        results: One photo's.
        vocabulary: The model's words.
        given: The caption asked about, or None for the one that the model wrote.

    Returns:
        ``prediction``, the best caption that the model writes, and its ``probability``; ``targets``, the caption
        explained; its ``words``, each with name, score, log_prob and all_negative;
        and ``predictions``, all captions that the model writes.

    Raises:
        InputError: If the model wrote no word and none was given.
    """
    caption = _explained(results, vocabulary, given)
    written = [
        {"name": one["caption"], "probability": math.exp(one["log_prob"])} for one in _written(results, vocabulary)
    ]
    best = written[0] if written else {"name": "", "probability": 0.0}
    highest = np.max(results["word_cams"], axis=(-2, -1)).tolist()
    scores, log_probs = (results[name].tolist() for name in ("word_scores", "word_log_probs"))
    words = [
        {"name": word, "score": score, "log_prob": log_prob, "all_negative": not high > 0}
        for word, score, log_prob, high in zip(caption.words, scores, log_probs, highest, strict=False)
    ]
    whole = {
        "name": caption.text,
        "score": float(results["scores"][0]),
        "probability": math.exp(_log_prob(results, caption)),
        "all_negative": not float(np.max(results["cam"][0])) > 0,
        "place": 0,
    }
    return {
        "prediction": best["name"],
        "probability": best["probability"],
        "targets": [whole],
        "predictions": written,
        "words": words,
    }


def _written(results: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> list[dict[str, Any]]:
    return [
        {"caption": _caption_of(tokens, int(length), vocabulary).text, "log_prob": float(log_prob)}
        for tokens, length, log_prob in zip(
            results["written"], results["written_lengths"], results["written_log_probs"], strict=True
        )
        if length > 0 and math.isfinite(log_prob)
    ]


def _part(name: str, score: float, cam: np.ndarray, fields: dict[str, Any]) -> Row:
    return Row(name, name, name, score, cam, fields)


def spans_of(phrases: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Returns where comma-separated phrases stand among words, each ``(start, stop)``."""
    return [find_phrase(part.strip(), words) for part in phrases.split(",") if part.strip()]


def _shares(words: Sequence[Row]) -> list[float]:
    """Returns each word's map's maximum as a share of the strongest word's."""
    peaks = [max(float(word.cam.max()), 0.0) for word in words]
    return [peak / (max(peaks) or 1.0) for peak in peaks]


def _fields(row: Row) -> dict[str, Any]:
    return {
        **row.fields,
        "score": row.score,
        "strength": strength_of(row.cam),
        "all_negative": row.all_negative,
        **row.map_fields,
    }


def _log_prob(results: Mapping[str, np.ndarray], caption: Caption) -> float:
    """Returns the log-probability of the words that are explained, END's left out."""
    return float(np.sum(results["word_log_probs"][: len(caption.words)]))


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

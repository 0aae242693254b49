"""Pictures of a text that any model said of a photo: arrays in, the panel and the animation of captions out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.pictures.maps import Box
from gradcam_jax.pictures.photo import View, frames_of, panel_of
from gradcam_jax.tasks.rows import Description, Row


def text_panel(
    photo: np.ndarray,
    words: Sequence[str],
    scores: Any,
    maps: Any,
    *,
    whole: Any = None,
    phrases: Mapping[str, Any] | None = None,
    box: Box | None = None,
    heading: str | None = None,
) -> np.ndarray:
    """Draws a text over the photo that it speaks of: the whole text's map, each word's, each phrase's.

    Args:
        photo: uint8 RGB, ``(H, W, 3)``.
        words: The text's words, or its tokens, in order.
        scores: Their log-probabilities, each after the words before it, ``(words,)``: as
            :func:`gradcam_jax.token_score` gives them.
        maps: Their signed maps at the layer's resolution, ``(words, h, w)``.
        whole: The whole text's map, ``(h, w)``; the sum of the words' if left out, which it is for Grad-CAM.
        phrases: Maps of some phrases by what they say.
        box: The part of the photo that the maps cover, ``(left, top, right, bottom)``; all of it if left out.
        heading: The line over everything; ``"Why 'the text'?"`` if left out.

    Returns:
        uint8 RGB.

    Raises:
        InputError: If the photo is not uint8 RGB, there is no word, or not one score and map a word.

    Example:
        >>> photo, maps = np.zeros((32, 32, 3), np.uint8), np.ones((2, 4, 4))
        >>> text_panel(photo, ["a", "dog"], [-0.1, -2.0], maps).ndim
        3
    """
    description, view = _described(photo, words, scores, maps, whole, phrases or {}, box)
    return panel_of(description, view, heading=heading)


def text_frames(
    photo: np.ndarray, words: Sequence[str], maps: Any, *, whole: Any = None, box: Box | None = None
) -> list[np.ndarray]:
    """Draws the frames of an animation that walks through a text: the whole text's map, then each word's.

    Args:
        photo: As for :func:`text_panel`, and so are the others.
        words: The text's words, or its tokens, in order.
        maps: Their signed maps, ``(words, h, w)``.
        whole: The whole text's map, ``(h, w)``; the sum of the words' if left out.
        box: The part of the photo that the maps cover.

    Returns:
        uint8 RGB frames of one shape, ``1 + len(words)``; :func:`gradcam_jax.pictures.save_animation` writes them.

    Raises:
        InputError: As :func:`text_panel`.
    """
    description, view = _described(photo, words, np.zeros(len(words)), maps, whole, {}, box)
    return frames_of(description, view)


def _described(
    photo: np.ndarray,
    words: Sequence[str],
    scores: Any,
    maps: Any,
    whole: Any,
    phrases: Mapping[str, Any],
    box: Box | None,
) -> tuple[Description, View]:
    photo, scores, maps = np.asarray(photo), np.asarray(scores), np.asarray(maps, np.float32)
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        raise InputError(f"Expected a uint8 RGB photo (H, W, 3), got {photo.dtype} {photo.shape} instead.")
    if not words or scores.shape != (len(words),) or maps.ndim != 3 or len(maps) != len(words):
        raise InputError(
            f"Expected at least one word, and a score and a map (h, w) for each, got {len(words)} words, scores "
            f"of shape {scores.shape} and maps of shape {maps.shape} instead."
        )
    whole = maps.sum(0) if whole is None else np.asarray(whole, np.float32)
    text = " ".join(words)
    rows = [Row(text, text, text, float(scores.sum()), whole)]
    parts = [
        Row(word, word, word, float(score), cam) for word, score, cam in zip(words, scores, maps, strict=True)
    ]
    named = [Row(phrase, phrase, phrase, 0.0, np.asarray(cam, np.float32)) for phrase, cam in phrases.items()]
    view = View(photo, box or (0.0, 0.0, float(photo.shape[1]), float(photo.shape[0])))
    return Description(f"Why '{text}'?", text, rows, parts, named), view

"""Pictures of a caption explained word by word: tiles of a panel, an animation that walks through the words."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from gradcam_jax.errors import InputError
from gradcam_jax.pictures.rendering import Row, overlay

_TILES_A_ROW = 4
_FRAME_SIDE = 480  # pixels; the photo's longer side in the animation
_FONT_SIZE, _LINE = 20, 30
_MILLISECONDS = 900
_INK, _PAPER, _MARKED = (113, 113, 122), (255, 255, 255), (190, 18, 60)


class WordMap(NamedTuple):
    """One word with its map.

    Attributes:
        word: The word.
        log_prob: Its log-probability after the words before it.
        heatmap: Rectified map, ``(H, W)``.
    """

    word: str
    log_prob: float
    heatmap: np.ndarray


def word_rows(photo: np.ndarray, words: Sequence[WordMap], box: tuple[float, float, float, float]) -> list[Row]:
    """Returns rows of a panel: one overlay a word, under it its probability and how strong its map is.

    Each map is scaled by its own maximum: colours compare places within a picture, not words. What compares words
    is the strength, the map's maximum as a share of the strongest word's.

    Args:
        photo: uint8 RGB, ``(H, W, 3)``.
        words: The caption's words in order.
        box: The part of the photo that the maps cover.
    """
    strongest = max((float(word.heatmap.max()) for word in words), default=0.0)
    tiles = [(_label(word, strongest), overlay(photo, word.heatmap, box)) for word in words]
    starts = range(0, len(tiles), _TILES_A_ROW)
    titles = [
        "Word by word. In brackets: probability after the words before; strength of the map (1: the strongest)"
    ]
    titles += [""] * (len(starts) - 1)
    return [Row(title, tiles[start : start + _TILES_A_ROW]) for title, start in zip(titles, starts, strict=True)]


def word_frames(
    photo: np.ndarray, words: Sequence[WordMap], whole: np.ndarray, box: tuple[float, float, float, float]
) -> list[np.ndarray]:
    """Draws the frames of an animation: the whole caption's map, then each word's, the word marked in the text.

    Args:
        photo: uint8 RGB, ``(H, W, 3)``.
        words: The caption's words in order.
        whole: The whole caption's rectified map.
        box: The part of the photo that the maps cover.

    Returns:
        uint8 RGB frames of one shape, ``1 + len(words)``.
    """
    factor = min(_FRAME_SIDE / max(photo.shape[:2]), 1.0)
    size = max(round(photo.shape[1] * factor), 200), max(round(photo.shape[0] * factor), 1)
    lines = _wrapped([word.word for word in words], size[0])
    maps = [(None, whole), *((index, word.heatmap) for index, word in enumerate(words))]
    return [_frame(overlay(photo, heatmap, box), size, lines, marked) for marked, heatmap in maps]


def save_animation(frames: Sequence[np.ndarray], path: Path) -> Path:
    """Writes frames as a GIF that repeats for ever, and returns its path."""
    if not frames:
        raise InputError("Expected at least one frame of an animation, got none.")
    first, *others = (PIL.Image.fromarray(frame).quantize(128) for frame in frames)
    first.save(path, save_all=True, append_images=others, duration=_MILLISECONDS, loop=0)
    return path


def _label(word: WordMap, strongest: float) -> str:
    highest = float(word.heatmap.max())
    told = f"strength {highest / strongest:.2f}" if highest > 0 else "nothing speaks for it"
    return f"{word.word}  ({np.exp(word.log_prob):.0%}, {told})"


def _wrapped(words: Sequence[str], width: int) -> list[list[tuple[int, str]]]:
    font = PIL.ImageFont.load_default(_FONT_SIZE)
    lines: list[list[tuple[int, str]]] = [[]]
    for index, word in enumerate(words):
        line = " ".join([text for _, text in lines[-1]] + [word])
        if lines[-1] and font.getlength(line) > width - 20:
            lines.append([])
        lines[-1].append((index, word))
    return lines


def _frame(
    picture: np.ndarray, size: tuple[int, int], lines: list[list[tuple[int, str]]], marked: int | None
) -> np.ndarray:
    font = PIL.ImageFont.load_default(_FONT_SIZE)
    sheet = PIL.Image.new("RGB", (size[0], size[1] + _LINE * len(lines) + 10), _PAPER)
    sheet.paste(PIL.Image.fromarray(picture).resize(size, PIL.Image.Resampling.LANCZOS))
    draw = PIL.ImageDraw.Draw(sheet)
    for row, line in enumerate(lines):
        x = 10.0
        for index, word in line:
            color = _MARKED if marked is None or index == marked else _INK
            draw.text((x, size[1] + 6 + row * _LINE), word, font=font, fill=color)
            x += font.getlength(word + " ")
    return np.asarray(sheet)

"""Pictures of words: a question in colours, a caption's words as tiles, an animation that walks through them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from gradcam_jax.pictures.colors import ORIGINAL, WHITE, Paper
from gradcam_jax.pictures.maps import Box, overlay
from gradcam_jax.pictures.panels import Strip
from gradcam_jax.pictures.sheet import Part, Sheet, joined, text_line
from gradcam_jax.tasks.rows import percent

_FOR, _AGAINST = np.array([239, 68, 68]), np.array([59, 130, 246])
_FONT_SIZE, _LINE, _CAPTION = 20, 30, 14  # pixels
_GAP, _MARGIN = 8, 14
_TILES_A_STRIP = 4
_NARROWEST = 200  # pixels of a frame, for the words, and of a tiny photo's longer side
_FRAME_SIDE = 480  # pixels; the photo's longer side in the animation


class WordMap(NamedTuple):
    """One word of a caption with its map.

    Attributes:
        word: The word.
        log_prob: Its log-probability after the words before it.
        heatmap: Rectified map, ``(H, W)``.
    """

    word: str
    log_prob: float
    heatmap: np.ndarray


def sentence(
    words: Sequence[str], importances: Sequence[float], *, caption: str = "", paper: Paper = WHITE
) -> Sheet:
    """Sets words on coloured ground: red for those that speak for the answer, blue for those against it.

    Args:
        words: The words.
        importances: A number a word, signed; they are divided by the largest magnitude.
        caption: A line under the words.
        paper: What they are drawn on.

    Example:
        >>> sentence(["what", "animal", "?"], [0.5, 2.0, -0.1]).height
        48
    """
    largest = max((abs(importance) for importance in importances), default=0.0) or 1.0
    places, x = [], _MARGIN
    for word, importance in zip(words, importances, strict=True):
        line = text_line(word, _FONT_SIZE, paper.ink)
        size = line.width + _GAP, int(1.4 * _FONT_SIZE)
        places.append((Sheet(size, [Part((0, 0), size, word_color(importance / largest, paper))]), (x, _MARGIN)))
        places.append((line, (x + _GAP // 2, _MARGIN + 2)))
        x += size[0] + _GAP
    below = text_line(caption, _CAPTION, paper.faint)
    height = _MARGIN + int(1.7 * _FONT_SIZE) + (26 if caption else 0)
    places.append((below, (_MARGIN, height - 22)))
    return joined(places, (max(x + _MARGIN, below.width + 2 * _MARGIN), height), paper.ground)


def word_color(importance: float, paper: Paper = WHITE) -> tuple[int, int, int]:
    """Returns a word's ground: the paper's at 0, red at 1, blue at -1.

    Example:
        >>> word_color(1.0), word_color(0.0), word_color(-1.0)
        ((239, 68, 68), (255, 255, 255), (59, 130, 246))
    """
    color = _FOR if importance > 0 else _AGAINST
    neutral = np.array(paper.ground)
    red, green, blue = np.round(neutral + abs(importance) * (color - neutral)).astype(int).tolist()
    return red, green, blue


def word_strips(photo: np.ndarray, words: Sequence[WordMap], box: Box, *, colors: str = ORIGINAL) -> list[Strip]:
    """Returns strips of a panel: one overlay a word, under it its probability and how strong its map is.

    All maps are coloured by one scale, the strongest word's: a word that little speaks for looks so. Its strength
    is its map's maximum as a share of that word's.

    Args:
        photo: uint8 RGB, ``(H, W, 3)``.
        words: The caption's words in order.
        box: The part of the photo that the maps cover.
        colors: Of :data:`gradcam_jax.pictures.COLORS`.
    """
    strongest = strongest_of(words)
    tiles = [
        (_label(word, strongest), overlay(photo, word.heatmap, box, colors=colors, highest=strongest))
        for word in words
    ]
    starts = range(0, len(tiles), _TILES_A_STRIP)
    titles = ["Word by word (probability after those before, strength)"]
    titles += [""] * (len(starts) - 1)
    return [
        Strip(title, tiles[start : start + _TILES_A_STRIP]) for start, title in zip(starts, titles, strict=False)
    ]


def strongest_of(words: Sequence[WordMap]) -> float:
    """Returns the highest value of all words' maps, 0 without words."""
    return max((float(word.heatmap.max()) for word in words), default=0.0)


def word_frames(
    photo: np.ndarray,
    words: Sequence[WordMap],
    whole: np.ndarray,
    box: Box,
    *,
    colors: str = ORIGINAL,
    paper: Paper = WHITE,
) -> list[np.ndarray]:
    """Draws the frames of an animation: the whole caption's map, then each word's, the word marked in the text.

    Args:
        photo: uint8 RGB, ``(H, W, 3)``.
        words: The caption's words in order.
        whole: The whole caption's rectified map, coloured by its own scale; the words' have one together.
        box: The part of the photo that the maps cover.
        colors: Of :data:`gradcam_jax.pictures.COLORS`.
        paper: What the text is drawn on.

    Returns:
        uint8 RGB frames of one shape, ``1 + len(words)``.
    """
    longest = max(photo.shape[:2])
    factor = min(_FRAME_SIDE / longest, max(1.0, _NARROWEST / longest))
    size = max(round(photo.shape[1] * factor), 1), max(round(photo.shape[0] * factor), 1)
    lines = _wrapped([word.word for word in words], max(size[0], _NARROWEST))
    strongest = strongest_of(words)
    maps: list[tuple[int | None, np.ndarray, float | None]] = [(None, whole, None)]
    maps += [(index, word.heatmap, strongest) for index, word in enumerate(words)]
    frames = []
    for marked, heatmap, highest in maps:
        picture = overlay(photo, heatmap, box, colors=colors, highest=highest)
        frames.append(_frame(picture, size, lines, marked, paper))
    return frames


def _label(word: WordMap, strongest: float) -> str:
    highest = float(word.heatmap.max())
    strength = f"strength {highest / strongest:.2f}" if highest > 0 else "nothing speaks for it"
    return f"{word.word}  ({percent(float(np.exp(word.log_prob)), 0)}, {strength})"


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
    picture: np.ndarray,
    size: tuple[int, int],
    lines: list[list[tuple[int, str]]],
    marked: int | None,
    paper: Paper,
) -> np.ndarray:
    font = PIL.ImageFont.load_default(_FONT_SIZE)
    sheet = PIL.Image.new("RGB", (max(size[0], _NARROWEST), size[1] + _LINE * len(lines) + 10), paper.ground)
    sheet.paste(PIL.Image.fromarray(picture).resize(size, PIL.Image.Resampling.LANCZOS))
    draw = PIL.ImageDraw.Draw(sheet)
    for row, line in enumerate(lines):
        x = 10.0
        for index, word in line:
            color = paper.warning if marked is None or index == marked else paper.faint
            draw.text((x, size[1] + 6 + row * _LINE), word, font=font, fill=color)
            x += font.getlength(word + " ")
    return np.asarray(sheet)

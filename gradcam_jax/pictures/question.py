"""A question drawn as a sentence whose words are coloured by what they have to do with an answer."""

from collections.abc import Sequence

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

_FOR, _AGAINST, _PAPER = np.array([239, 68, 68]), np.array([59, 130, 246]), np.array([255, 255, 255])
_INK, _FAINT = (24, 24, 27), (113, 113, 122)
_SIZE, _GAP, _MARGIN = 20, 8, 14


def sentence(words: Sequence[str], importances: Sequence[float], *, caption: str = "") -> np.ndarray:
    """Draws words on coloured ground: red for those that speak for the answer, blue for those against it.

    Args:
        words: The words.
        importances: A number a word, signed; they are divided by the largest magnitude.
        caption: A line under the words.

    Returns:
        uint8 RGB.

    Example:
        >>> sentence(["what", "animal", "?"], [0.5, 2.0, -0.1]).ndim
        3
    """
    font = PIL.ImageFont.load_default(_SIZE)
    boxes = [int(np.ceil(font.getlength(word))) + _GAP for word in words]
    small = PIL.ImageFont.load_default(14)
    width = max(sum(boxes) + _GAP * len(boxes), int(small.getlength(caption))) + 2 * _MARGIN
    height = _MARGIN + int(1.7 * _SIZE) + (26 if caption else 0)
    sheet = PIL.Image.new("RGB", (width, height), tuple(_PAPER.tolist()))
    draw = PIL.ImageDraw.Draw(sheet)
    largest = max((abs(importance) for importance in importances), default=0.0) or 1.0
    x = _MARGIN
    for word, importance, wide in zip(words, importances, boxes, strict=True):
        corners = (x, _MARGIN, x + wide, _MARGIN + int(1.4 * _SIZE))
        draw.rectangle(corners, fill=word_color(importance / largest))
        draw.text((x + _GAP / 2, _MARGIN + 2), word, font=font, fill=_INK)
        x += wide + _GAP
    draw.text((_MARGIN, height - 22), caption, font=small, fill=_FAINT)
    return np.asarray(sheet)


def word_color(importance: float) -> tuple[int, int, int]:
    """Returns a word's ground: white at 0, red at 1, blue at -1.

    Example:
        >>> word_color(1.0), word_color(0.0), word_color(-1.0)
        ((239, 68, 68), (255, 255, 255), (59, 130, 246))
    """
    color = _FOR if importance > 0 else _AGAINST
    red, green, blue = np.round(_PAPER + abs(importance) * (color - _PAPER)).astype(int).tolist()
    return red, green, blue


def stacked(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Sets pictures one under the other on white, left-aligned; uint8 RGB each."""
    width = max(picture.shape[1] for picture in pictures)
    padding = [((0, 0), (0, width - picture.shape[1]), (0, 0)) for picture in pictures]
    return np.concatenate(
        [np.pad(picture, pad, constant_values=255) for picture, pad in zip(pictures, padding, strict=True)]
    )

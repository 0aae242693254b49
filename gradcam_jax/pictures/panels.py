"""Panels: labelled pictures side by side under a title, strip below strip.

Pictures are uint8 arrays, RGB ``(H, W, 3)`` or grey ``(H, W)``; panels are uint8 RGB.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

INK, FAINT, PAPER = (24, 24, 27), (113, 113, 122), (255, 255, 255)

_MARGIN = 14


class Strip(NamedTuple):
    """A title over pictures side by side, each with a caption under it."""

    title: str
    tiles: Sequence[tuple[str, np.ndarray]]


def panel(strips: Sequence[Strip], *, heading: str = "", height: int = 260) -> np.ndarray:
    """Sets strips of labelled pictures one under the other.

    Args:
        strips: At least one, each with at least one picture (uint8 RGB or grey).
        heading: A line over everything.
        height: Height of each picture, in pixels.

    Returns:
        uint8 RGB.
    """
    parts = [_strip(strip, height) for strip in strips]
    if heading:
        parts.insert(0, text_line(heading, 20, INK))
    width = max(part.width for part in parts) + 2 * _MARGIN
    sheet = PIL.Image.new("RGB", (width, sum(part.height + _MARGIN for part in parts) + _MARGIN), PAPER)
    y = _MARGIN
    for part in parts:
        sheet.paste(part, (_MARGIN, y))
        y += part.height + _MARGIN
    return np.asarray(sheet)


def stacked(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Sets pictures one under the other on white, left-aligned; uint8 RGB each."""
    width = max(picture.shape[1] for picture in pictures)
    padding = [((0, 0), (0, width - picture.shape[1]), (0, 0)) for picture in pictures]
    return np.concatenate(
        [np.pad(picture, pad, constant_values=255) for picture, pad in zip(pictures, padding, strict=True)]
    )


def stretch_to(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Stretches a picture to ``(height, width)``, to undo the stretch that brought the photo to a square."""
    height, width = size
    return np.asarray(PIL.Image.fromarray(picture).resize((width, height), PIL.Image.Resampling.BICUBIC))


def text_line(text: str, size: int, color: tuple[int, int, int]) -> PIL.Image.Image:
    """Draws one line of text on white, no wider than the text.

    Args:
        text: The line.
        size: Of the font, in pixels.
        color: RGB.
    """
    font = PIL.ImageFont.load_default(size)
    left, _, right, _ = font.getbbox(text)
    image = PIL.Image.new("RGB", (int(right - left) + 2, int(size * 1.4)), PAPER)
    PIL.ImageDraw.Draw(image).text((0, 0), text, font=font, fill=color)
    return image


def _strip(strip: Strip, height: int) -> PIL.Image.Image:
    title = text_line(strip.title, 18, INK)
    tiles = [_tile(caption, picture, height) for caption, picture in strip.tiles]
    width = max(title.width, sum(tile.width for tile in tiles) + _MARGIN * (len(tiles) - 1))
    image = PIL.Image.new("RGB", (width, title.height + 6 + max(tile.height for tile in tiles)), PAPER)
    image.paste(title, (0, 0))
    x = 0
    for tile in tiles:
        image.paste(tile, (x, title.height + 6))
        x += tile.width + _MARGIN
    return image


def _tile(caption: str, picture: np.ndarray, height: int) -> PIL.Image.Image:
    image = PIL.Image.fromarray(picture).convert("RGB")
    shown_height = min(height, max(1, round(4 * height * image.height / image.width)))  # at most 4:1 wide
    width = min(max(1, round(image.width * shown_height / image.height)), 4 * height)
    image = image.resize((width, shown_height), PIL.Image.Resampling.LANCZOS)
    label = text_line(caption, 14, FAINT)
    tile = PIL.Image.new("RGB", (max(width, label.width), height + 4 + label.height), PAPER)
    tile.paste(image, (0, (height - shown_height) // 2))
    tile.paste(label, (0, height + 4))
    return tile

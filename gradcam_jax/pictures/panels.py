"""Panels: labelled pictures side by side under a title, strip below strip.

Pictures are uint8 arrays, RGB ``(H, W, 3)`` or grey ``(H, W)``; panels are uint8 RGB.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import PIL.ImageFont

from gradcam_jax.pictures.colors import ORIGINAL, WHITE, Paper, color_values
from gradcam_jax.pictures.sheet import Sheet, drawn, joined, picture_sheet, stacked_sheets, text_line

_MARGIN = 16
_WIDEST = 2000  # pixels of a strip; what is more goes on below
_HEADING, _TITLE, _CAPTION, _FOOTER = 26, 21, 17, 15  # pixels of their fonts
_BAR = (220, 14)
_LEAST_ROOM = 600  # pixels of a line, however narrow the pictures are


class Strip(NamedTuple):
    """A title over pictures side by side, each with a caption under it, and a warning after the title."""

    title: str
    tiles: Sequence[tuple[str, np.ndarray]]
    warning: str = ""


class Footer(NamedTuple):
    """What stands below a panel.

    Attributes:
        text: What made the maps: model, layer, method, size, precision. Empty: no footer.
        colors: The colour map whose bar is drawn, of :data:`gradcam_jax.pictures.COLORS`.
        ends: What the bar's two ends mean.
    """

    text: str = ""
    colors: str = ORIGINAL
    ends: tuple[str, str] = ("0", "each map's highest value")


NO_FOOTER = Footer()


def panel(strips: Sequence[Strip], **options: Any) -> np.ndarray:
    """Draws :func:`panel_sheet`, which takes the same, as uint8 RGB."""
    return drawn(panel_sheet(strips, **options))


def panel_sheet(
    strips: Sequence[Strip],
    *,
    heading: str = "",
    height: int = 300,
    paper: Paper = WHITE,
    footer: Footer = NO_FOOTER,
) -> Sheet:
    """Sets strips of labelled pictures one under the other.

    Args:
        strips: At least one, each with at least one picture (uint8 RGB or grey).
        heading: A line over everything.
        height: Height of each picture, in pixels.
        paper: What they are drawn on.
        footer: A line below everything, with a bar of the colours.

    Returns:
        A sheet of at most about 2000 pixels' width.
    """
    tiles = [_rows_of_tiles(strip, height, paper) for strip in strips]
    room = max(_LEAST_ROOM, *(_width(row) for rows in tiles for row in rows))
    parts = [_strip(strip, rows, room, paper) for strip, rows in zip(strips, tiles, strict=True)]
    if heading:
        parts.insert(0, text_line(fitting(heading, _HEADING, room), _HEADING, paper.ink))
    if footer.text:
        parts.append(_footer(footer, room, paper))
    y, places = _MARGIN, []
    for part in parts:
        places.append((part, (_MARGIN, y)))
        y += part.height + _MARGIN
    return joined(places, (max(part.width for part in parts) + 2 * _MARGIN, y), paper.ground)


def stacked(pictures: Sequence[np.ndarray], paper: Paper = WHITE) -> np.ndarray:
    """Sets pictures one under the other on a paper, left-aligned; uint8 RGB each."""
    return drawn(stacked_sheets([picture_sheet(picture) for picture in pictures], paper.ground))


def stretch_to(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Stretches a picture to ``(height, width)``, to undo the stretch that brought the photo to a square."""
    height, width = size
    return np.asarray(PIL.Image.fromarray(picture).resize((width, height), PIL.Image.Resampling.BICUBIC))


def fitting(text: str, size: int, width: int) -> str:
    """Returns a text that is no wider than so many pixels in a font of that size: its end becomes dots."""
    font = PIL.ImageFont.load_default(size)
    while text and font.getlength(text) > width:
        text = text[: -max(len(text) // 20, 2)].rstrip() + "…"
    return text


def _rows_of_tiles(strip: Strip, height: int, paper: Paper) -> list[list[Sheet]]:
    """Returns the tiles in as few rows as hold them, and as many in each, where such rows are not too wide."""
    tiles = [_tile(caption, picture, height, paper) for caption, picture in strip.tiles]
    rows: list[list[Sheet]] = [[]]
    for tile in tiles:
        if rows[-1] and _width(rows[-1]) + _MARGIN + tile.width > _WIDEST:
            rows.append([])
        rows[-1].append(tile)
    count = math.ceil(len(tiles) / len(rows))
    even = [tiles[start : start + count] for start in range(0, len(tiles), max(count, 1))]
    return even if all(_width(row) <= _WIDEST for row in even) else rows


def _strip(strip: Strip, rows: Sequence[Sequence[Sheet]], room: int, paper: Paper) -> Sheet:
    """Sets rows of tiles under their title and warning, which are cut to the room that the panel has."""
    lines = []
    if strip.title:
        lines.append(text_line(fitting(strip.title, _TITLE, room), _TITLE, paper.ink))
    if strip.warning:
        lines.append(text_line(fitting(strip.warning, _CAPTION, room), _CAPTION, paper.warning))
    places, y = [], 0
    for line in lines:
        places.append((line, (0, y)))
        y += line.height
    y += 6
    for row in rows:
        x = 0
        for tile in row:
            places.append((tile, (x, y)))
            x += tile.width + _MARGIN
        y += max(tile.height for tile in row)
    return joined(places, (max(part.width + place[0] for part, place in places), y), paper.ground)


def _width(tiles: Sequence[Sheet]) -> int:
    return sum(tile.width for tile in tiles) + _MARGIN * (len(tiles) - 1)


def _tile(caption: str, picture: np.ndarray, height: int, paper: Paper) -> Sheet:
    own_height, own_width = picture.shape[:2]
    # A panorama is at most four times as wide as high photos are high; a tower at most twice as high.
    factor = min(max(height / own_height, height / 3 / own_width), 4 * height / own_width, 2 * height / own_height)
    width, shown_height = (max(1, round(side * factor)) for side in (own_width, own_height))
    label = text_line(caption, _CAPTION, paper.faint)
    below = shown_height + 4
    places = [(picture_sheet(picture, (width, shown_height)), (0, 0)), (label, (0, below))]
    # A caption may reach into the margin: tiles of one size then stand in columns.
    return joined(places, (max(width, label.width - _MARGIN // 2), below + label.height), paper.ground)


def _footer(footer: Footer, width: int, paper: Paper) -> Sheet:
    """Sets the line, and beside it, or below where there is no room, the bar between its ends."""
    text = text_line(fitting(footer.text, _FOOTER, width), _FOOTER, paper.faint)
    ends = [text_line(end, _FOOTER, paper.faint) for end in footer.ends]
    colors = color_values(np.tile(np.linspace(0, 1, _BAR[0]), (_BAR[1], 1)), footer.colors)
    bar = picture_sheet(np.round(255 * colors).astype(np.uint8))
    wide = ends[0].width + bar.width + ends[1].width + _MARGIN
    beside = text.width + 2 * _MARGIN + wide <= width
    left, top = (text.width + 2 * _MARGIN, 0) if beside else (0, text.height + 4)
    size = max(text.width, left + wide), top + ends[0].height
    places = [(text, (0, 0))]
    for part, down in ((ends[0], 0), (bar, 3), (ends[1], 0)):
        places.append((part, (left, top + down)))
        left += part.width + _MARGIN // 2
    return joined(places, size, paper.ground)

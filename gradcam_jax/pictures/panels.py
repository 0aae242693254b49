"""Panels: labelled pictures side by side under a title, strip below strip.

Pictures are uint8 arrays, RGB ``(H, W, 3)`` or grey ``(H, W)``; panels are uint8 RGB.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from gradcam_jax.pictures.colors import ORIGINAL, WHITE, Color, Paper, color_values

_MARGIN = 16
_WIDEST = 2000  # pixels of a strip; what is more goes on below
_HEADING, _TITLE, _CAPTION, _FOOTER = 26, 21, 17, 15  # pixels of their fonts
_BAR = (220, 14)


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


def panel(
    strips: Sequence[Strip],
    *,
    heading: str = "",
    height: int = 300,
    paper: Paper = WHITE,
    footer: Footer = NO_FOOTER,
) -> np.ndarray:
    """Sets strips of labelled pictures one under the other.

    Args:
        strips: At least one, each with at least one picture (uint8 RGB or grey).
        heading: A line over everything.
        height: Height of each picture, in pixels.
        paper: What they are drawn on.
        footer: A line below everything, with a bar of the colours.

    Returns:
        uint8 RGB, at most about 2000 pixels wide.
    """
    parts = [_strip(strip, height, paper) for strip in strips]
    widest = max(part.width for part in parts)
    if heading:
        parts.insert(0, text_line(fitting(heading, _HEADING, max(widest, 600)), _HEADING, paper.ink, paper))
    if footer.text:
        parts.append(_footer(footer, max(widest, 600), paper))
    width = max(part.width for part in parts) + 2 * _MARGIN
    sheet = PIL.Image.new("RGB", (width, sum(part.height + _MARGIN for part in parts) + _MARGIN), paper.ground)
    y = _MARGIN
    for part in parts:
        sheet.paste(part, (_MARGIN, y))
        y += part.height + _MARGIN
    return np.asarray(sheet)


def stacked(pictures: Sequence[np.ndarray], paper: Paper = WHITE) -> np.ndarray:
    """Sets pictures one under the other on a paper, left-aligned; uint8 RGB each."""
    width = max(picture.shape[1] for picture in pictures)
    sheet = np.full((sum(len(picture) for picture in pictures), width, 3), paper.ground, np.uint8)
    y = 0
    for picture in pictures:
        sheet[y : y + len(picture), : picture.shape[1]] = picture
        y += len(picture)
    return sheet


def stretch_to(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Stretches a picture to ``(height, width)``, to undo the stretch that brought the photo to a square."""
    height, width = size
    return np.asarray(PIL.Image.fromarray(picture).resize((width, height), PIL.Image.Resampling.BICUBIC))


def text_line(text: str, size: int, color: Color, paper: Paper = WHITE) -> PIL.Image.Image:
    """Draws one line of text, no wider than the text.

    Args:
        text: The line.
        size: Of the font, in pixels.
        color: RGB.
        paper: What it is drawn on.
    """
    font = PIL.ImageFont.load_default(size)
    left, _, right, _ = font.getbbox(text)
    image = PIL.Image.new("RGB", (int(right - left) + 2, int(size * 1.4)), paper.ground)
    PIL.ImageDraw.Draw(image).text((0, 0), text, font=font, fill=color)
    return image


def fitting(text: str, size: int, width: int) -> str:
    """Returns a text that is no wider than so many pixels in a font of that size: its end becomes dots."""
    font = PIL.ImageFont.load_default(size)
    while text and font.getlength(text) > width:
        text = text[: -max(len(text) // 20, 2)].rstrip() + "…"
    return text


def _strip(strip: Strip, height: int, paper: Paper) -> PIL.Image.Image:
    rows: list[list[PIL.Image.Image]] = [[]]
    for caption, picture in strip.tiles:
        tile = _tile(caption, picture, height, paper)
        if rows[-1] and _width(rows[-1]) + _MARGIN + tile.width > _WIDEST:
            rows.append([])
        rows[-1].append(tile)
    widest = max(_width(row) for row in rows)
    lines = []
    if strip.title:
        lines.append(text_line(fitting(strip.title, _TITLE, max(widest, 600)), _TITLE, paper.ink, paper))
    if strip.warning:
        lines.append(text_line(fitting(strip.warning, _CAPTION, max(widest, 600)), _CAPTION, paper.warning, paper))
    heights = [max(tile.height for tile in row) for row in rows]
    size = max([widest, *(line.width for line in lines)]), sum(line.height for line in lines) + 6 + sum(heights)
    image = PIL.Image.new("RGB", size, paper.ground)
    y = 0
    for line in lines:
        image.paste(line, (0, y))
        y += line.height
    y += 6
    for row, tall in zip(rows, heights, strict=True):
        x = 0
        for tile in row:
            image.paste(tile, (x, y))
            x += tile.width + _MARGIN
        y += tall
    return image


def _width(tiles: Sequence[PIL.Image.Image]) -> int:
    return sum(tile.width for tile in tiles) + _MARGIN * (len(tiles) - 1)


def _tile(caption: str, picture: np.ndarray, height: int, paper: Paper) -> PIL.Image.Image:
    image = PIL.Image.fromarray(picture).convert("RGB")
    # A panorama is at most four times as wide as high photos are high; a tower at most twice as high.
    factor = min(
        max(height / image.height, height / 3 / image.width), 4 * height / image.width, 2 * height / image.height
    )
    width, shown_height = (max(1, round(side * factor)) for side in image.size)
    image = image.resize((width, shown_height), PIL.Image.Resampling.LANCZOS)
    label = text_line(caption, _CAPTION, paper.faint, paper)
    tile = PIL.Image.new("RGB", (max(width, label.width), shown_height + 4 + label.height), paper.ground)
    tile.paste(image, (0, 0))
    tile.paste(label, (0, shown_height + 4))
    return tile


def _footer(footer: Footer, width: int, paper: Paper) -> PIL.Image.Image:
    """Draws the line, and beside it, or below where there is no room, the bar between its ends."""
    text = text_line(fitting(footer.text, _FOOTER, width), _FOOTER, paper.faint, paper)
    ends = [text_line(end, _FOOTER, paper.faint, paper) for end in footer.ends]
    colors = color_values(np.tile(np.linspace(0, 1, _BAR[0]), (_BAR[1], 1)), footer.colors)
    bar = PIL.Image.fromarray(np.round(255 * colors).astype(np.uint8))
    wide = ends[0].width + bar.width + ends[1].width + _MARGIN
    beside = text.width + 2 * _MARGIN + wide <= width
    left, top = (text.width + 2 * _MARGIN, 0) if beside else (0, text.height + 4)
    sheet = PIL.Image.new("RGB", (max(text.width, left + wide), top + ends[0].height), paper.ground)
    sheet.paste(text, (0, 0))
    for part, down in ((ends[0], 0), (bar, 3), (ends[1], 0)):
        sheet.paste(part, (left, top + down))
        left += part.width + _MARGIN // 2
    return sheet

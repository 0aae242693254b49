"""Sheets: texts, pictures and rectangles at their places, to be drawn as pixels or written as SVG.

Places and sizes are ``(across, down)`` in pixels, from the upper left corner.
"""

import base64
import io
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from gradcam_jax.pictures.colors import WHITE, Color

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FINEST = 2  # pixels of a picture in an SVG, to one of the sheet


class Part(NamedTuple):
    """Something at its place: a text, a picture, or else a rectangle of one colour.

    Attributes:
        place: Its upper left corner.
        size: Of a picture and a rectangle: its own; of a text: the line's width and the font's size.
        color: Of a text and a rectangle.
        text: One line.
        picture: uint8, RGB ``(H, W, 3)`` or grey ``(H, W)``, resized to ``size``.
    """

    place: tuple[int, int]
    size: tuple[int, int]
    color: Color = WHITE.ink
    text: str = ""
    picture: np.ndarray | None = None


class Sheet(NamedTuple):
    """Parts on a ground; later parts cover earlier ones."""

    size: tuple[int, int]
    parts: Sequence[Part] = ()
    ground: Color = WHITE.ground

    @property
    def width(self) -> int:
        """In pixels."""
        return self.size[0]

    @property
    def height(self) -> int:
        """In pixels."""
        return self.size[1]


def text_line(text: str, size: int, color: Color) -> Sheet:
    """Returns one line of text, no wider than the text.

    Args:
        text: The line.
        size: Of the font, in pixels.
        color: RGB.
    """
    left, _, right, _ = PIL.ImageFont.load_default(size).getbbox(text)
    width = int(right - left) + 2
    parts = [Part((0, 0), (width, size), color, text)] if text else []
    return Sheet((width, int(size * 1.4)), parts)


def picture_sheet(picture: np.ndarray, size: tuple[int, int] | None = None) -> Sheet:
    """Returns a picture as a sheet, at its own size or resized to ``(width, height)``."""
    size = size or (picture.shape[1], picture.shape[0])
    return Sheet(size, [Part((0, 0), size, picture=picture)])


def joined(sheets: Sequence[tuple[Sheet, tuple[int, int]]], size: tuple[int, int], ground: Color) -> Sheet:
    """Sets sheets on a larger one, each at its place; their own grounds are not drawn."""
    parts = [
        part._replace(place=(part.place[0] + across, part.place[1] + down))
        for sheet, (across, down) in sheets
        for part in sheet.parts
    ]
    return Sheet(size, parts, ground)


def stacked_sheets(sheets: Sequence[Sheet], ground: Color = WHITE.ground) -> Sheet:
    """Sets sheets one under the other, left-aligned."""
    tops = np.cumsum([0, *(sheet.height for sheet in sheets)]).tolist()
    places = [(sheet, (0, top)) for sheet, top in zip(sheets, tops, strict=False)]
    return joined(places, (max(sheet.width for sheet in sheets), tops[-1]), ground)


def drawn(sheet: Sheet) -> np.ndarray:
    """Draws a sheet: uint8 RGB, ``(height, width, 3)``."""
    image = PIL.Image.new("RGB", sheet.size, sheet.ground)
    draw = PIL.ImageDraw.Draw(image)
    for place, size, color, text, picture in sheet.parts:
        if picture is not None:
            shown = PIL.Image.fromarray(picture).convert("RGB").resize(size, PIL.Image.Resampling.LANCZOS)
            image.paste(shown, place)
        elif text:
            draw.text(place, text, font=PIL.ImageFont.load_default(size[1]), fill=color)
        else:
            draw.rectangle((*place, place[0] + size[0] - 1, place[1] + size[1] - 1), fill=color)
    return np.asarray(image)


def svg(sheet: Sheet) -> str:
    """Writes a sheet as SVG: texts stay texts, as wide as they are drawn; pictures are embedded PNGs.

    A picture keeps at most twice the pixels of its place, each way.

    Example:
        >>> svg(Sheet((30, 20), [Part((1, 2), (3, 4), (255, 0, 0))])).count("<rect")
        2
    """
    width, height = sheet.size
    spaces = {"xmlns": "http://www.w3.org/2000/svg", "xmlns:xlink": "http://www.w3.org/1999/xlink"}
    root = ElementTree.Element("svg", {**spaces, **_box(sheet.size), "viewBox": f"0 0 {width} {height}"})
    ElementTree.SubElement(root, "rect", {**_box(sheet.size), "fill": _hex(sheet.ground)})
    for (across, down), size, color, text, picture in sheet.parts:
        place = {"x": str(across), "y": str(down)}
        if picture is not None:
            link = {"preserveAspectRatio": "none", "xlink:href": _data_url(picture, size)}
            ElementTree.SubElement(root, "image", {**place, **_box(size), **link})
        elif text:
            ascent, _ = PIL.ImageFont.load_default(size[1]).getmetrics()  # type: ignore[union-attr]
            font = {"font-family": "sans-serif", "font-size": str(size[1]), "fill": _hex(color)}
            width = {"textLength": str(size[0]), "lengthAdjust": "spacingAndGlyphs"}
            place["y"] = str(down + ascent)
            ElementTree.SubElement(root, "text", {**place, **font, **width}).text = _NO_XML.sub("\ufffd", text)
        else:
            ElementTree.SubElement(root, "rect", {**place, **_box(size), "fill": _hex(color)})
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _box(size: tuple[int, int]) -> dict[str, str]:
    return {"width": str(size[0]), "height": str(size[1])}


def _hex(color: Color) -> str:
    return f"#{bytes(color).hex()}"


def _data_url(picture: np.ndarray, size: tuple[int, int]) -> str:
    image, content = PIL.Image.fromarray(picture), io.BytesIO()
    most = min(image.width, _FINEST * size[0]), min(image.height, _FINEST * size[1])
    image.resize(most, PIL.Image.Resampling.LANCZOS).save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"

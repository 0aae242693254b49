"""Pictures of explanations: the original program's, byte for byte, and overlays and panels for people.

Pictures are uint8 RGB arrays ``(H, W, 3)``; maps are float ``(h, w)``. Nothing here touches a model.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from gradcam_jax.attribution.resize import half_pixel_matrix

_ROWS_AT_ONCE = 256
_MARGIN = 14
_OPACITY = 0.75  # of an overlay where its map is highest
_INK, _PAPER, _FAINT = (24, 24, 27), (255, 255, 255), (113, 113, 122)


def min_max(values: np.ndarray) -> np.ndarray:
    """Shifts and scales a whole array to [0, 1], as the original's display rule; a constant becomes zeros."""
    values = np.asarray(values, np.float32)
    shifted = values - values.min()
    largest = shifted.max()
    return shifted / largest if largest > 0 else np.zeros_like(shifted)


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Turns [0, 1] into bytes as the original does: clamped, times 255, truncated."""
    return (np.clip(values, 0, 1) * np.float32(255)).astype(np.uint8)


def heat_colors(values: np.ndarray) -> np.ndarray:
    """Colours [0, 1] as the original does: blue, cyan, green, yellow, red, linear in between.

    Args:
        values: ``(h, w)`` in [0, 1].

    Returns:
        Float32 RGB in [0, 1], ``(h, w, 3)``. (This is neither matplotlib's nor Torch's "jet".)

    Example:
        >>> to_bytes(heat_colors(np.array([[0.0, 0.1, 0.25, 0.5, 0.75, 1.0]]))).tolist()
        [[[0, 0, 255], [0, 102, 255], [0, 255, 255], [0, 255, 0], [255, 255, 0], [255, 0, 0]]]
    """
    v = np.asarray(values, np.float32) * 4
    red, green, blue = v - 2, np.minimum(v, 4 - v), 2 - v
    return np.clip(np.stack([red, green, blue], axis=-1), 0, 1)


def heat_map(heatmap: np.ndarray) -> np.ndarray:
    """Draws a map as the original's heat map: min-max normalised, coloured; a constant map is all blue.

    Args:
        heatmap: Rectified map, ``(H, W)``.
    """
    return to_bytes(heat_colors(min_max(heatmap)))


def grey_map(heatmap: np.ndarray) -> np.ndarray:
    """Draws a map in grey, min-max normalised (the original's ``-save_as_heatmap 0``); returns ``(H, W)``."""
    return to_bytes(min_max(heatmap))


def gradient_picture(gradient: np.ndarray) -> np.ndarray:
    """Draws guided backprop or Guided Grad-CAM as the original: min-max over all channels; zero is a mid grey.

    Args:
        gradient: Signed, RGB order, ``(H, W, 3)``.
    """
    return to_bytes(min_max(gradient))


def centred_gradient_picture(gradient: np.ndarray) -> np.ndarray:
    """Draws a signed gradient with zero always at mid grey and the 99.8th percentile at full contrast."""
    limit = float(np.percentile(np.abs(gradient), 99.8))
    return to_bytes(0.5 + 0.5 * np.asarray(gradient, np.float32) / limit) if limit > 0 else _flat_grey(gradient)


def overlay(photo: np.ndarray, heatmap: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """Lays a map on the photo, at the photo's own size.

    Where the map is 0 the photo stays as it is; an all-zero map leaves it untouched.

    Args:
        photo: uint8 RGB, ``(H, W, 3)``.
        heatmap: Rectified map, ``(h, w)``, any scale; it is divided by its maximum.
        box: The part of the photo that the map covers, (left, top, right, bottom) in the photo's pixels.

    Returns:
        uint8 RGB, ``(H, W, 3)``.
    """
    left, top, right, bottom = (round(edge) for edge in box)
    heat = np.maximum(np.asarray(heatmap, np.float32), 0)
    if not heat.max() > 0:
        return photo.copy()
    columns = half_pixel_matrix(heat.shape[1], max(right - left, 1))
    rows = half_pixel_matrix(heat.shape[0], max(bottom - top, 1))
    wide = (heat / heat.max()) @ columns.T
    picture = photo.copy()
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        value = rows[start : start + _ROWS_AT_ONCE] @ wide
        opacity = (_OPACITY * np.clip(value, 0, 1))[..., np.newaxis]
        part = picture[top + start : top + start + len(value), left:right]
        blend = (1 - opacity) * part + opacity * (255 * heat_colors(value))
        picture[top + start : top + start + len(value), left:right] = np.round(blend).astype(np.uint8)
    return picture


class Row(NamedTuple):
    """One row of a panel: a title over pictures, each with a caption under it."""

    title: str
    pictures: Sequence[tuple[str, np.ndarray]]


def stretch_to(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Stretches a picture to ``(height, width)``, to undo the stretch that brought the photo to a square."""
    height, width = size
    return np.asarray(PIL.Image.fromarray(picture).resize((width, height), PIL.Image.Resampling.BICUBIC))


def panel(rows: Sequence[Row], *, heading: str = "", height: int = 260) -> np.ndarray:
    """Sets labelled pictures side by side, a target a row.

    Args:
        rows: Titles and captioned pictures (uint8 RGB or grey).
        heading: A line over everything.
        height: Height of each picture, in pixels.

    Returns:
        uint8 RGB.
    """
    strips = [_strip(row, height) for row in rows]
    top = _text_block(heading, 20, _INK) if heading else None
    parts = [*([top] if top else []), *strips]
    width = max(part.width for part in parts) + 2 * _MARGIN
    sheet = PIL.Image.new("RGB", (width, sum(part.height + _MARGIN for part in parts) + _MARGIN), _PAPER)
    y = _MARGIN
    for part in parts:
        sheet.paste(part, (_MARGIN, y))
        y += part.height + _MARGIN
    return np.asarray(sheet)


def _strip(row: Row, height: int) -> PIL.Image.Image:
    title = _text_block(row.title, 18, _INK)
    tiles = [_tile(caption, picture, height) for caption, picture in row.pictures]
    width = max(title.width, sum(tile.width for tile in tiles) + _MARGIN * (len(tiles) - 1))
    strip = PIL.Image.new("RGB", (width, title.height + 6 + max(tile.height for tile in tiles)), _PAPER)
    strip.paste(title, (0, 0))
    x = 0
    for tile in tiles:
        strip.paste(tile, (x, title.height + 6))
        x += tile.width + _MARGIN
    return strip


def _tile(caption: str, picture: np.ndarray, height: int) -> PIL.Image.Image:
    image = PIL.Image.fromarray(picture).convert("RGB")
    shown_height = min(height, max(1, round(4 * height * image.height / image.width)))  # at most 4:1 wide
    width = min(max(1, round(image.width * shown_height / image.height)), 4 * height)
    image = image.resize((width, shown_height), PIL.Image.Resampling.LANCZOS)
    label = _text_block(caption, 14, _FAINT)
    tile = PIL.Image.new("RGB", (max(width, label.width), height + 4 + label.height), _PAPER)
    tile.paste(image, (0, (height - shown_height) // 2))
    tile.paste(label, (0, height + 4))
    return tile


def _text_block(text: str, size: int, color: tuple[int, int, int]) -> PIL.Image.Image:
    font = PIL.ImageFont.load_default(size)
    left, _, right, _ = font.getbbox(text)
    image = PIL.Image.new("RGB", (int(right - left) + 2, int(size * 1.4)), _PAPER)
    PIL.ImageDraw.Draw(image).text((0, 0), text, font=font, fill=color)
    return image


def _flat_grey(gradient: np.ndarray) -> np.ndarray:
    return np.full(gradient.shape, 127, np.uint8)

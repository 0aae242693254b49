"""Panels of an explained photo, from its rows: whatever the task, whether one photo, one of many, or a page's.

What a description holds decides what is drawn. Rows stand under each other as photo, map, maps by other methods,
guided backprop and Guided Grad-CAM, those that were computed. A row with a question's words is a panel of its own,
with the question in colours under it. A caption's words and phrases follow as tiles.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.pictures.maps import Box, centred_gradient_picture, heatmap_of, overlay
from gradcam_jax.pictures.panels import Strip, panel, stacked, stretch_to
from gradcam_jax.pictures.words import WordMap, sentence, word_frames, word_strips
from gradcam_jax.tasks.methods import TITLES
from gradcam_jax.tasks.rows import Description, Row

LONGEST_QUESTION = 100
"""Characters of a question over its pictures; the rest is cut off."""

_WHOLE_CAPTION = "The whole caption: red is where the photo speaks most for it"
_LEGEND = "red words speak for the answer, blue ones against it"
_HEIGHT, _HEIGHT_AMONG_WORDS = 260, 220  # pixels of a tile; a caption's panel has more strips


class View(NamedTuple):
    """A photo and how maps are laid on it.

    Attributes:
        photo: uint8 RGB, ``(H, W, 3)``.
        box: The part of the photo that the network's image shows.
        size: ``(height, width)`` of the network's image: maps are resized to it by the original's rule before
            they are laid on the photo. None lays them on the photo from the layer's resolution: nearly the same
            picture, and less work.
        map_label: The line under a map: ``"Grad-CAM"``, ``"counterfactual"``.
    """

    photo: np.ndarray
    box: Box
    size: tuple[int, int] | None = None
    map_label: str = "Grad-CAM"


class DrawnRow(NamedTuple):
    """A row with its pictures.

    Attributes:
        row: The row.
        heatmap: Its map, rectified, at the view's size.
        overlay: The map on the photo, uint8 RGB of the photo's shape.
        others: Maps by other methods, by the method's name: rectified, at the view's size, and on the photo.
        tiles: Captions and pictures, uint8 RGB: the photo, the map on it, and the gradients that were computed.
    """

    row: Row
    heatmap: np.ndarray
    overlay: np.ndarray
    others: Mapping[str, tuple[np.ndarray, np.ndarray]]
    tiles: Sequence[tuple[str, np.ndarray]]


def draw_row(row: Row, view: View) -> DrawnRow:
    """Draws the pictures of one row."""
    heatmap = heatmap_of(row.cam, view.size)
    laid_on = overlay(view.photo, heatmap, view.box)
    heatmaps = {name: heatmap_of(cam, view.size) for name, cam in row.maps.items()}
    others = {name: (heat, overlay(view.photo, heat, view.box)) for name, heat in heatmaps.items()}
    left, top, right, bottom = view.box
    shape = max(round(bottom - top), 1), max(round(right - left), 1)
    gradients = [("guided backprop", row.guided_backprop), ("Guided Grad-CAM", row.guided_grad_cam)]
    tiles = [
        ("photo", view.photo),
        (view.map_label, laid_on),
        *((TITLES[name], picture) for name, (_, picture) in others.items()),
        *(
            (caption, stretch_to(centred_gradient_picture(gradient), shape))
            for caption, gradient in gradients
            if gradient is not None
        ),
    ]
    return DrawnRow(row, heatmap, laid_on, others, tiles)


def panel_of(
    description: Description,
    view: View,
    rows: Sequence[DrawnRow] | None = None,
    *,
    heading: str | None = None,
) -> np.ndarray:
    """Draws everything that is said of a photo as one picture.

    Args:
        description: What is said of the photo.
        view: The photo.
        rows: Those of its rows to show, already drawn; all of them if left out.
        heading: The line over everything; the description's if left out.

    Returns:
        uint8 RGB.

    Raises:
        InputError: If there is no row to draw.
    """
    drawn = [draw_row(row, view) for row in description.rows] if rows is None else rows
    heading = description.heading if heading is None else heading
    if not drawn:
        raise InputError("Expected at least one explained target to draw, got none.")
    if any(one.row.tokens for one in drawn):
        return stacked([_question_panel(one, heading) for one in drawn])
    if not description.words:
        return panel([Strip(one.row.title, one.tiles) for one in drawn], heading=heading, height=_HEIGHT)
    strips = [Strip(_WHOLE_CAPTION, one.tiles) for one in drawn]
    strips += word_strips(view.photo, _word_maps(description, view), view.box)
    if description.phrases:
        strips.append(Strip("Phrases", [(row.name, _overlay_of(row, view)) for row in description.phrases]))
    return panel(strips, heading=heading, height=_HEIGHT_AMONG_WORDS)


def own_heading(description: Description, row: Row) -> str:
    """Returns the line over the panel of one row of several, where the description's speaks of them all."""
    return description.heading if len(description.rows) == 1 or row.tokens else f"Why {row.name}?"


def frames_of(description: Description, view: View) -> list[np.ndarray]:
    """Draws a caption word by word: the frames of an animation, the whole caption's first.

    Args:
        description: A caption's, with its words.
        view: The photo.

    Returns:
        uint8 RGB frames of one shape, ``1 + len(description.words)``.
    """
    whole = heatmap_of(description.rows[0].cam, view.size)
    return word_frames(view.photo, _word_maps(description, view), whole, view.box)


def _question_panel(drawn: DrawnRow, heading: str) -> np.ndarray:
    picture = panel([Strip(drawn.row.title, drawn.tiles)], heading=heading[:LONGEST_QUESTION], height=_HEIGHT)
    words = [word for word, _ in drawn.row.tokens]
    importances = [importance for _, importance in drawn.row.tokens]
    return stacked([picture, sentence(words, importances, caption=_LEGEND)])


def _word_maps(description: Description, view: View) -> list[WordMap]:
    return [WordMap(row.name, row.score, heatmap_of(row.cam, view.size)) for row in description.words]


def _overlay_of(row: Row, view: View) -> np.ndarray:
    return overlay(view.photo, heatmap_of(row.cam, view.size), view.box)

"""Panels of an explained photo, from its rows: whatever the task, whether one photo, one of many, or a page's.

What a description holds decides what is drawn. Rows stand under each other as photo, map, maps by other methods,
guided backprop and Guided Grad-CAM, those that were computed. A row with a question's words is a panel of its own,
with the question in colours under it. A caption's words and phrases follow as tiles.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradcam_jax.errors import InputError, lookup
from gradcam_jax.pictures.colors import ORIGINAL, PAPERS
from gradcam_jax.pictures.maps import Box, gradient_on, heatmap_of, overlay
from gradcam_jax.pictures.panels import Footer, Strip, panel_sheet, stretch_to
from gradcam_jax.pictures.sheet import Sheet, drawn, stacked_sheets
from gradcam_jax.pictures.words import WordMap, sentence, word_frames, word_strips
from gradcam_jax.tasks.methods import TITLES
from gradcam_jax.tasks.rows import Description, Row, percent

LONGEST_QUESTION = 100
"""Characters of a question over its pictures; the rest is cut off."""

OWN, SHARED = "own", "shared"
SCALES = (OWN, SHARED)
"""How maps of several targets are coloured: each by its own highest value, or all by the highest of all."""

FORMATS = ("png", "pdf", "svg")
"""Of panels. In an SVG texts are texts; a PDF holds pixels."""

IMPROBABLE = 0.01
"""The probability below which a panel warns that the model does not see the target in the photo."""

_WHOLE_CAPTION = "The whole caption: where the photo speaks for it"
_LEGEND = "full colour: with an average word there the score {1:.2f} is {0:.2g} lower (red) or higher (blue)"
_HEIGHT, _HEIGHT_AMONG_WORDS = 300, 260  # pixels of a tile; a caption's panel has more strips
_LARGEST_PANEL_PHOTO = 1024  # pixels of the longer side of a photo whose panel alone is drawn


class Style(NamedTuple):
    """How pictures look.

    Attributes:
        colors: The maps' colour map, of :data:`gradcam_jax.pictures.COLORS`.
        scale: Of :data:`SCALES`. A caption's words always share one.
        paper: What panels are drawn on, of :data:`gradcam_jax.pictures.PAPERS`.
        footer: A line below panels that says what made the maps; empty: none, and no bar of the colours.
        panels: The format of panels, of :data:`FORMATS`.
    """

    colors: str = ORIGINAL
    scale: str = OWN
    paper: str = "white"
    footer: str = ""
    panels: str = "png"


DEFAULT_STYLE = Style()


class View(NamedTuple):
    """A photo and how maps are laid on it.

    Attributes:
        photo: uint8 RGB, ``(H, W, 3)``.
        box: The part of the photo that the network's image shows.
        size: ``(height, width)`` of the network's image: maps are resized to it by the original's rule before
            they are laid on the photo. None lays them on the photo from the layer's resolution: nearly the same
            picture, and less work.
        map_label: The line under a map: ``"Grad-CAM"``, ``"counterfactual"``.
        style: How it looks.
    """

    photo: np.ndarray
    box: Box
    size: tuple[int, int] | None = None
    map_label: str = "Grad-CAM"
    style: Style = DEFAULT_STYLE


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


def draw_rows(rows: Sequence[Row], view: View) -> list[DrawnRow]:
    """Draws the pictures of a photo's rows, by the scale that the view's style names."""
    highest = max((float(heatmap_of(row.cam, view.size).max()) for row in rows), default=0.0)
    return [draw_row(row, view, strongest=highest if len(rows) > 1 else None) for row in rows]


def draw_row(row: Row, view: View, *, strongest: float | None = None) -> DrawnRow:
    """Draws the pictures of one row.

    Args:
        row: The row.
        view: The photo.
        strongest: The highest value of all rows' maps, if there are several: how strong this one is beside it is
            said, and shown by a shared scale.
    """
    style, label = view.style, view.map_label
    shared = strongest if lookup({OWN: False, SHARED: True}, style.scale, "scale") else None
    heatmap = heatmap_of(row.cam, view.size)
    laid_on = overlay(view.photo, heatmap, view.box, colors=style.colors, highest=shared)
    heatmaps = {name: heatmap_of(cam, view.size) for name, cam in row.maps.items()}
    others = {
        name: (heat, overlay(view.photo, heat, view.box, colors=style.colors)) for name, heat in heatmaps.items()
    }
    left, top, right, bottom = view.box
    shape = max(round(bottom - top), 1), max(round(right - left), 1)
    gradients = [("guided backprop", row.guided_backprop), ("Guided Grad-CAM", row.guided_grad_cam)]
    if strongest is not None and strongest > 0:
        label = f"{label}, strength {float(heatmap.max()) / strongest:.0%}"
    tiles = [
        ("photo", view.photo),
        (label, laid_on),
        *((TITLES[name], picture) for name, (_, picture) in others.items()),
        *(
            (caption, stretch_to(gradient_on(gradient, style.paper), shape))
            for caption, gradient in gradients
            if gradient is not None
        ),
    ]
    return DrawnRow(row, heatmap, laid_on, others, tiles)


def for_panels(view: View) -> View:
    """Returns a view of a smaller photo, as large as panels show it: what is drawn of it costs a fraction."""
    height, width = view.photo.shape[:2]
    factor = _LARGEST_PANEL_PHOTO / max(height, width)
    if factor >= 1:
        return view
    size = max(round(height * factor), 1), max(round(width * factor), 1)
    left, top, right, bottom = (edge * factor for edge in view.box)
    return view._replace(photo=stretch_to(view.photo, size), box=(left, top, right, bottom))


def panel_of(
    description: Description,
    view: View,
    rows: Sequence[DrawnRow] | None = None,
    *,
    heading: str | None = None,
) -> np.ndarray:
    """Draws :func:`sheet_of`, which takes the same, as uint8 RGB."""
    return drawn(sheet_of(description, view, rows, heading=heading))


def sheet_of(
    description: Description,
    view: View,
    rows: Sequence[DrawnRow] | None = None,
    *,
    heading: str | None = None,
) -> Sheet:
    """Sets everything that is said of a photo on one sheet.

    Args:
        description: What is said of the photo.
        view: The photo.
        rows: Those of its rows to show, already drawn; all of them if left out.
        heading: The line over everything; the description's if left out.

    Raises:
        InputError: If there is no row to draw.
    """
    rows = draw_rows(description.rows, view) if rows is None else rows
    paper = lookup(PAPERS, view.style.paper, "paper")
    heading = description.heading if heading is None else heading
    if not rows:
        raise InputError("Expected at least one explained target to draw, got none.")
    highest = "highest of all" if view.style.scale == SHARED else "each map's highest"
    ends = ("0", f"{highest}; of words, the strongest word's" if description.words else highest)
    look: dict[str, Any] = {"paper": paper, "footer": Footer(view.style.footer, view.style.colors, ends)}
    if any(one.row.tokens for one in rows):
        return stacked_sheets([_question_sheet(one, heading, look) for one in rows], paper.ground)
    if not description.words:
        strips = [Strip(one.row.title, one.tiles, _warning(one.row)) for one in rows]
        return panel_sheet(strips, heading=heading, height=_HEIGHT, **look)
    strips = [Strip(_WHOLE_CAPTION, one.tiles) for one in rows]
    strips += word_strips(view.photo, _word_maps(description, view), view.box, colors=view.style.colors)
    if description.phrases:
        strips.append(Strip("Phrases", [(row.name, _overlay_of(row, view)) for row in description.phrases]))
    return panel_sheet(strips, heading=heading, height=_HEIGHT_AMONG_WORDS, **look)


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
    style = view.style
    look: dict[str, Any] = {"colors": style.colors, "paper": lookup(PAPERS, style.paper, "paper")}
    return word_frames(view.photo, _word_maps(description, view), whole, view.box, **look)


def _question_sheet(one: DrawnRow, heading: str, look: Mapping[str, Any]) -> Sheet:
    strip = Strip(one.row.title, one.tiles, _warning(one.row))
    pictures = panel_sheet([strip], heading=heading[:LONGEST_QUESTION], height=_HEIGHT, **look)
    words = [word for word, _ in one.row.tokens]
    importances = [importance for _, importance in one.row.tokens]
    legend = _LEGEND.format(max(map(abs, importances), default=0.0), one.row.score)
    paper = look["paper"]
    return stacked_sheets([pictures, sentence(words, importances, caption=legend, paper=paper)], paper.ground)


def _warning(row: Row) -> str:
    probability = row.fields.get("probability")
    if probability is None or probability >= IMPROBABLE:
        return ""
    return f"improbable ({percent(probability)}): the map shows what little speaks for it"


def _word_maps(description: Description, view: View) -> list[WordMap]:
    return [WordMap(row.name, row.log_prob, heatmap_of(row.cam, view.size)) for row in description.words]


def _overlay_of(row: Row, view: View) -> np.ndarray:
    return overlay(view.photo, heatmap_of(row.cam, view.size), view.box, colors=view.style.colors)

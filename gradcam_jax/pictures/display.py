"""Pictures in a notebook: what was explained of a photo, or of a batch, as one panel that shows itself."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image

from gradcam_jax.engine.explanation import Explanation
from gradcam_jax.errors import InputError, lookup
from gradcam_jax.pictures.colors import PAPERS
from gradcam_jax.pictures.files import save
from gradcam_jax.pictures.maps import heat_map, overlay
from gradcam_jax.pictures.panels import Footer, Strip, panel_sheet
from gradcam_jax.pictures.photo import DEFAULT_STYLE, Style, View, sheet_of
from gradcam_jax.pictures.sheet import Sheet, drawn
from gradcam_jax.tasks.task import ExplainedPhoto

_MOST_IMAGES, _MOST_TARGETS = 8, 8
_MAP_SIDE = 300  # pixels of a map that is shown without its photo


class Shown(NamedTuple):
    """A picture that a notebook shows where it is a cell's last value.

    Attributes:
        sheet: What is on it.
    """

    sheet: Sheet

    @property
    def picture(self) -> np.ndarray:
        """It as pixels: uint8 RGB, ``(H, W, 3)``."""
        return drawn(self.sheet)

    def save(self, path: str | Path) -> Path:
        """Writes it, in the format that the name ends in, and returns the path. In ``.svg`` texts stay texts."""
        return save(self.sheet, path)

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        PIL.Image.fromarray(self.picture).save(content, "PNG")
        return content.getvalue()

    def __repr__(self) -> str:
        """Says what it is, where no picture can be shown."""
        return f"Shown({self.sheet.width}x{self.sheet.height} pixels)"


def show(
    explained: ExplainedPhoto | Explanation,
    photos: Any = None,
    *,
    names: Sequence[Sequence[str]] | None = None,
    style: Style = DEFAULT_STYLE,
) -> Shown:
    """Shows what was explained, in a notebook or as a picture to be saved.

    Args:
        explained: Of one photo, as :func:`gradcam_jax.tasks.explain_photo` returns it, or of a batch, as
            :func:`gradcam_jax.explain` does.
        photos: Of a batch: the photos that the maps are laid on, ``(n, H, W, 3)``, uint8 or RGB in [0, 1], or a
            list of photos of their own sizes. Without them the maps are shown alone.
        names: Of a batch: each image's targets, by name.
        style: Colours, scale, paper and footer.

    Returns:
        The picture, of a batch the first eight images' first eight targets.

    Raises:
        InputError: If maps have not two dimensions, or photos or names are not as many as there are images.

    Example:
        >>> maps = np.ones((1, 2, 4, 4), np.float32)
        >>> show(Explanation(None, np.ones((1, 2)), maps, None, np.array([[3, 7]])), np.zeros((1, 32, 48, 3)))
        Shown(1414x394 pixels)
    """
    if isinstance(explained, ExplainedPhoto):
        view = View(explained.photo, explained.box, style=style)
        return Shown(sheet_of(explained.description, view))
    maps, scores = _named_maps(explained.cam), np.asarray(explained.scores)
    count = len(scores)
    if photos is not None and len(photos) != count:
        raise InputError(f"Expected {count} photos, one an image, got {len(photos)} instead.")
    if names is not None and [len(own) for own in names] != [scores.shape[1]] * count:
        raise InputError(f"Expected {count} lists of {scores.shape[1]} names, got {names!r} instead.")
    targets = np.asarray(explained.targets) if _are_indices(explained.targets, scores) else None
    strips = []
    for image in range(min(count, _MOST_IMAGES)):
        photo = None if photos is None else _as_bytes(photos[image])
        shown = range(min(scores.shape[1], _MOST_TARGETS))
        tiles = [] if photo is None else [("photo", photo)]
        for target in shown:
            name = f"target {target}" if targets is None else f"class {targets[image, target]}"
            name = name if names is None else names[image][target]
            for method, cams in maps.items():
                cam = cams[image, target]
                blank = "" if cam.max() > 0 else ": nothing speaks for it"
                label = f"{name}, {scores[image, target]:.2f}{method and f', {method}'}{blank}"
                highest = float(cams[image].max()) if style.scale == "shared" else None
                tiles.append((label, _drawn(photo, cam, style, highest)))
        strips.append(Strip(f"image {image}", tiles))
    footer = Footer(style.footer, style.colors)
    return Shown(panel_sheet(strips, paper=lookup(PAPERS, style.paper, "paper"), footer=footer))


def _named_maps(cam: Any, name: str = "") -> dict[str, np.ndarray]:
    """Returns maps by the names of their layer and method, however many of these there are."""
    if isinstance(cam, Mapping):
        inner = [_named_maps(value, f"{name}, {key}" if name else key) for key, value in cam.items()]
        return {key: value for one in inner for key, value in one.items()}
    cam = np.asarray(cam, np.float32)
    if cam.ndim != 4:
        raise InputError(
            f"Expected maps (n, targets, h, w), got an array {cam.shape} instead: no picture shows it."
        )
    return {name: cam}


def _are_indices(targets: Any, scores: np.ndarray) -> bool:
    return getattr(targets, "shape", None) == scores.shape and np.issubdtype(targets.dtype, np.integer)


def _as_bytes(photo: Any) -> np.ndarray:
    photo = np.asarray(photo)
    return photo if photo.dtype == np.uint8 else (np.clip(photo, 0, 1) * 255 + 0.5).astype(np.uint8)


def _drawn(photo: np.ndarray | None, cam: np.ndarray, style: Style, highest: float | None) -> np.ndarray:
    if photo is not None:
        return overlay(photo, cam, colors=style.colors, highest=highest)
    picture = PIL.Image.fromarray(heat_map(np.maximum(cam, 0), style.colors))
    height, width = cam.shape
    factor = max(_MAP_SIDE // max(height, width), 1)
    return np.asarray(picture.resize((width * factor, height * factor), PIL.Image.Resampling.NEAREST))

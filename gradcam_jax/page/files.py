"""The pictures and numbers of an explanation, as files that a visitor sees or keeps."""

import io
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import PIL.Image

from gradcam_jax import __version__
from gradcam_jax.errors import InputError, lookup
from gradcam_jax.page.description import described, map_of
from gradcam_jax.page.explaining import COUNTERFACTUAL, METHODS, Shown
from gradcam_jax.pictures import (
    View,
    centred_gradient_picture,
    heat_layer,
    overlay,
    panel_of,
    safe_name,
)
from gradcam_jax.tasks import Row
from gradcam_jax.tasks.methods import GRAD_CAM

_LONGEST_SIDE = 720
"""Pixels of a layer over the photo; the browser enlarges it."""


class File(NamedTuple):
    """A file's bytes, their type, and what it is called when it is kept."""

    content: bytes
    type: str
    name: str


def photo_file(photo: np.ndarray, longest: int = 2 * _LONGEST_SIDE) -> File:
    """Returns a photo as it was understood, upright and RGB, at most so many pixels long."""
    image = PIL.Image.fromarray(photo)
    image.thumbnail((longest, longest))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=90)
    return File(content.getvalue(), "image/jpeg", "photo.jpg")


def file_of(shown: Shown, kind: str, *, row: int = 0, opacity: float = 0.75, shared: bool = False) -> File:
    """Returns a file of an explanation.

    Args:
        shown: The explanation.
        kind: ``"layer"``, what the page lays over the photo; ``"overlay"``, the map on the photo at its own size;
            ``"panel"``, everything side by side; ``"numbers"``, JSON; ``"arrays"``, NumPy's.
        row: The row, of the targets and then the words.
        opacity: Of the map in an overlay, where it is highest.
        shared: Whether maps are coloured by their kind's common maximum, so that a weak one looks weak.

    Raises:
        InputError: If there is no such file or row.
    """
    make = lookup(
        {"layer": _layer, "overlay": _overlay, "panel": _panel, "numbers": _numbers, "arrays": _arrays},
        kind,
        "file",
    )
    rows = _rows(shown)
    if not 0 <= row < len(rows):
        raise InputError(f"Expected a row from 0 to {len(rows) - 1}, got {row} instead.")
    if not 0 <= opacity <= 1:
        raise InputError(f"Expected an opacity from 0 to 1, got {opacity} instead.")
    return make(shown, row, opacity, shared)


def _rows(shown: Shown) -> Sequence[Row]:
    description = shown.explained.description
    return [*description.rows, *description.words]


def _peak(shown: Shown, row: Row, *, shared: bool) -> float:
    description = shown.explained.description
    group = description.words if any(row is word for word in description.words) else description.rows
    peaks = [float(map_of(one, shown.choice.method).max()) for one in (group if shared else [row])]
    return max(*peaks, 0.0)


def _layer(shown: Shown, number: int, _opacity: float, shared: bool) -> File:
    row = _rows(shown)[number]
    left, top, right, bottom = shown.explained.box
    factor = min(_LONGEST_SIDE / max(right - left, bottom - top), 1.0)
    size = max(round((bottom - top) * factor), 1), max(round((right - left) * factor), 1)
    gradient = getattr(row, shown.choice.method, None)
    if gradient is None:
        return _png(
            heat_layer(map_of(row, shown.choice.method), size, highest=_peak(shown, row, shared=shared)), "layer"
        )
    return _png(_stretched(centred_gradient_picture(gradient), size), "layer")


def _overlay(shown: Shown, number: int, opacity: float, shared: bool) -> File:
    row, explained = _rows(shown)[number], shown.explained
    gradient = getattr(row, shown.choice.method, None)
    name = f"{shown.choice.method}_{row.name}"
    if gradient is not None:
        left, top, right, bottom = explained.box
        size = max(round(bottom - top), 1), max(round(right - left), 1)
        return _png(_stretched(centred_gradient_picture(gradient), size), name)
    cam, peak = map_of(row, shown.choice.method), _peak(shown, row, shared=shared)
    return _png(overlay(explained.photo, cam, explained.box, opacity=opacity, highest=peak), name)


def _panel(shown: Shown, _number: int, _opacity: float, _shared: bool) -> File:
    explained = shown.explained
    label = METHODS[COUNTERFACTUAL if shown.choice.method == COUNTERFACTUAL else GRAD_CAM]
    return _png(panel_of(explained.description, View(explained.photo, explained.box, map_label=label)), "panel")


def _numbers(shown: Shown, _number: int, _opacity: float, _shared: bool) -> File:
    maps = [map_of(row, shown.choice.method).tolist() for row in _rows(shown)]
    record: dict[str, Any] = {"gradcam_jax": __version__, **described(shown), "maps": maps}
    return File(json.dumps(record, indent=1).encode(), "application/json", "explanation.json")


def _arrays(shown: Shown, _number: int, _opacity: float, _shared: bool) -> File:
    rows, content = _rows(shown), io.BytesIO()
    arrays = {"cam": np.stack([row.cam for row in rows]), "names": np.array([row.name for row in rows])}
    arrays |= {name: np.stack([row.maps[name] for row in rows]) for name in rows[0].maps}
    gradients = [getattr(row, shown.choice.method, None) for row in rows]
    if gradients[0] is not None:
        arrays[shown.choice.method] = np.stack([gradient for gradient in gradients if gradient is not None])
    np.savez_compressed(content, allow_pickle=False, **arrays)
    return File(content.getvalue(), "application/octet-stream", "explanation.npz")


def _stretched(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    image = PIL.Image.fromarray(picture)
    return np.asarray(image.resize((size[1], size[0]), PIL.Image.Resampling.BICUBIC))


def _png(picture: np.ndarray, name: str) -> File:
    content = io.BytesIO()
    PIL.Image.fromarray(picture).save(content, "PNG", compress_level=1)
    return File(content.getvalue(), "image/png", f"{safe_name(name)}.png")

"""Pictures of a run's photos at the size of a page, drawn from the stored maps: written once, in threads.

A photo's pictures are ``pictures/ab/KEY.jpg``, the photo, ``KEY-cam-0.jpg``, the first target's map on it,
``KEY-guided_backprop-0.jpg`` and ``KEY-guided_grad_cam-0.jpg``, its guided gradients, if the run stored them,
and ``KEY-words.jpg``, a caption's words side by side. The key is the id's hash: it holds while the run goes on.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image

from gradcam_jax.errors import InputError
from gradcam_jax.images import Preprocessing, read_photo
from gradcam_jax.images.tfds_source import PREFIX, read_record
from gradcam_jax.pictures import gradient_on, overlay
from gradcam_jax.pictures.panels import stretch_to
from gradcam_jax.pipeline.items import hash_of
from gradcam_jax.pipeline.reader import Record
from gradcam_jax.tasks.indices import guided_parts
from gradcam_jax.tasks.methods import GUIDED

CAM = "cam"
PICTURES = "pictures"

_SIDE = 320  # pixels of a photo's longer side on a page ...
_SHORTER, _LONGEST = 96, 960  # ... but of a panorama's shorter one, as far as the longer one allows
_WORD_SIDE = 150
_QUALITY = 82  # of a JPEG


class Drawn(NamedTuple):
    """What became of one photo's pictures.

    Attributes:
        size: ``(width, height)`` of each picture; None if there are none.
        problem: Why there are none.
    """

    size: tuple[int, int] | None
    problem: str = ""


class Source(NamedTuple):
    """Where photos are found and what of them the maps cover.

    Attributes:
        folder: Where the photos lie now, by their ids; None: where the run found them.
        preprocessing: The run's, or None if it is not known: maps then cover whole photos.
        size: Side of the network's image.
    """

    folder: Path | None
    preprocessing: Preprocessing | None
    size: int


def key_of(identifier: str) -> str:
    """Returns what a photo's files are called: 16 digits, whatever its id holds."""
    return f"{hash_of(identifier):016x}"


def map_names(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Returns the names of the arrays that hold a map a target: ``cam``, and those of other methods."""
    shape = arrays[CAM].shape if CAM in arrays else None
    return [name for name, array in arrays.items() if array.shape == shape and array.dtype.kind == "f"]


def gradient_names(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Returns the names of the arrays that hold guided gradients a target."""
    return [name for name in GUIDED if name in arrays]


def draw_record(record: Record, folder: Path, source: Source) -> Drawn:
    """Draws the pictures of one photo that are not there yet.

    Args:
        record: What the run says of it.
        folder: The report's.
        source: Where the photo is.
    """
    stem = folder / PICTURES / (key := key_of(record.fields["id"]))[:2] / key
    maps = {
        f"-{name}-{target['place']}": np.asarray(record.arrays[name][target["place"]])
        for name in map_names(record.arrays)
        for target in record.fields["targets"]
    }
    words = record.fields.get("words") or []
    gradients = {
        f"-{name}-{target['place']}": (name, target["place"])
        for name in gradient_names(record.arrays)
        for target in record.fields["targets"]
    }
    wanted = ["", *maps, *gradients, *(["-words"] if words else [])]
    paths = {name: stem.with_name(f"{key}{name}.jpg") for name in wanted}
    if all(_is_there(path) for path in paths.values()):
        with PIL.Image.open(paths[""]) as picture:
            return Drawn(picture.size)
    try:
        photo = _small(_read(record, source), _SIDE)
    except InputError as error:
        return Drawn(None, str(error))
    box = source.preprocessing.resize(photo, source.size).box if source.preprocessing else None
    stem.parent.mkdir(parents=True, exist_ok=True)
    for name, cam in maps.items():
        _save(overlay(photo, cam, box), paths[name])
    for end, (name, place) in gradients.items():
        _save(_gradient(guided_parts(record.arrays, place)[name], photo, box), paths[end])
    if words:
        cams = np.asarray(record.arrays["word_cams"][: len(words)])
        _save(_words(photo, cams, box), paths["-words"])
    _save(photo, paths[""])  # the last one: where it is, the others are
    return Drawn((photo.shape[1], photo.shape[0]))


def _read(record: Record, source: Source) -> np.ndarray:
    path = record.fields["path"]
    if path.startswith(PREFIX):
        name, _, index = path.removeprefix(PREFIX).rpartition("#")
        dataset, _, split = name.rpartition("/")
        return np.asarray(read_record(dataset, split, int(index)))
    if source.folder is not None:
        moved = source.folder / record.fields["id"].partition("#")[0]
        path = moved if moved.is_file() else source.folder / os.path.basename(path)
    return read_photo(path, at_least=_SIDE)


def _small(photo: np.ndarray, side: int) -> np.ndarray:
    """Brings a photo to a page's size: its longer side, or of a panorama its shorter one."""
    shorter, longer = sorted(photo.shape[:2])
    factor = max(side / longer, min(_SHORTER / shorter, _LONGEST / longer))
    width, height = (max(round(length * factor), 1) for length in (photo.shape[1], photo.shape[0]))
    image = PIL.Image.fromarray(photo).resize((width, height), PIL.Image.Resampling.BICUBIC, reducing_gap=3)
    return np.asarray(image)


def _gradient(gradient: np.ndarray, photo: np.ndarray, box: Any) -> np.ndarray:
    """Draws a gradient where the network's image lies on the photo, on white."""
    left, top, right, bottom = (round(edge) for edge in box or (0, 0, photo.shape[1], photo.shape[0]))
    picture = np.full_like(photo, 255)
    shape = max(bottom - top, 1), max(right - left, 1)
    picture[top:bottom, left:right] = stretch_to(gradient_on(gradient), shape)[: bottom - top, : right - left]
    return picture


def _words(photo: np.ndarray, cams: np.ndarray, box: Any) -> np.ndarray:
    """Draws a caption's words side by side, by one scale; the page rounds their sizes as it is done here."""
    factor = _WORD_SIDE / max(photo.shape[:2])
    width, height = (max(int(length * factor + 0.5), 1) for length in (photo.shape[1], photo.shape[0]))
    small = np.asarray(PIL.Image.fromarray(photo).resize((width, height), PIL.Image.Resampling.BICUBIC))
    box = tuple(edge * factor for edge in box) if box else None
    strongest = float(cams.max())
    return np.concatenate([overlay(small, cam, box, highest=strongest) for cam in cams], axis=1)


def _save(picture: np.ndarray, path: Path) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    PIL.Image.fromarray(picture).save(part, "JPEG", quality=_QUALITY)
    os.replace(part, path)


def _is_there(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False

"""Photos with what is on them, read from standard files: COCO's ``instances.json``, a folder with labels."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.words import word_of_category, word_of_ilsvrc
from gradcam_jax.formats.json_file import read_json


class Box(NamedTuple):
    """A rectangle, in fractions of the picture's width and height: 0 is left or top, 1 right or bottom."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        """The fraction of the picture that it covers."""
        return max(self.right - self.left, 0.0) * max(self.bottom - self.top, 0.0)


WHOLE = Box(0.0, 0.0, 1.0, 1.0)
"""The whole picture."""


class LabelledBox(NamedTuple):
    """An object on a picture: its word and where it is.

    Attributes:
        difficult: Whether Pascal VOC leaves it out of its tests.
        polygons: Its outlines, if they are known: ``(x, y, x, y, ...)`` in fractions of the picture.
    """

    word: str
    box: Box
    difficult: bool = False
    polygons: tuple[tuple[float, ...], ...] = ()


class Photo(NamedTuple):
    """One photo.

    Attributes:
        key: A name that stays the same wherever the data lies, such as ``"coco/25"``; decides the split.
        complete: Whether ``objects`` lists everything of COCO's 80 kinds, with boxes; else it is one label.
        class_index: 0-based ILSVRC class of a labelled photo, else None.
        load: For a photo that is no file: returns its pixels, uint8 RGB ``(H, W, 3)``.
    """

    key: str
    path: Path
    objects: tuple[LabelledBox, ...]
    complete: bool
    class_index: int | None = None
    load: Callable[[], np.ndarray] | None = None


def subfolders(folder: str | Path) -> list[Path]:
    """Returns the folders in a folder, in the order of their names: each is a set of photos."""
    return sorted(path for path in Path(folder).glob("*") if path.is_dir())


def read_table(path: Path, *columns: str) -> list[dict[str, str]]:
    """Reads the rows of a CSV file that has these columns; ``image``, as in Flickr8k's table, is ``file``."""
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines)
            names = reader.fieldnames or ()
            reader.fieldnames = ["file" if name == "image" else name for name in names]
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The table {str(path)!r} cannot be read: {error}.") from error
    if not set(columns) <= set(reader.fieldnames) or any(row[name] is None for row in rows for name in columns):
        expected = " and ".join(map(repr, columns))
        raise InputError(f"Expected the columns {expected} in {str(path)!r}, got {list(names)} instead.")
    return rows


def read_coco(folder: str | Path) -> list[Photo]:
    """Reads COCO photos and boxes: ``instances.json`` and the photos in ``images``."""
    return read_coco_file(Path(folder) / "instances.json", Path(folder) / "images")


def read_coco_file(file: Path, images: Path) -> list[Photo]:
    """Reads a COCO file of instances, and where its photos lie; a crowd is one object, known by its box."""
    content = read_json(file, "images", "annotations", "categories")
    words = {category["id"]: word_of_category(category["name"]) for category in content["categories"]}
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    objects: dict[int, list[LabelledBox]] = {image_id: [] for image_id in sizes}
    for annotation in content["annotations"]:
        width, height = sizes[annotation["image_id"]]
        left, top, wide, high = annotation["bbox"]
        box = Box(left / width, top / height, (left + wide) / width, (top + high) / height)
        outlines = annotation.get("segmentation", ())
        polygons = (
            tuple(tuple((np.reshape(outline, (-1, 2)) / (width, height)).ravel().tolist()) for outline in outlines)
            if isinstance(outlines, list)
            else ()
        )
        found = LabelledBox(words[annotation["category_id"]], box, polygons=polygons)
        objects[annotation["image_id"]].append(found)
    return [
        Photo(f"coco/{image['id']}", images / image["file_name"], tuple(objects[image["id"]]), True)
        for image in content["images"]
    ]


def read_labelled_folder(folder: str | Path, words: Callable[[int], str | None]) -> list[Photo]:
    """Reads photos of one labelled object each; ``words`` gives the everyday word of a class, or None.

    The folder has ``labels.csv`` with the columns ``file`` and ``class_index`` (0-based ILSVRC), and ``images``.
    """
    folder = Path(folder)
    photos = []
    for row in read_table(folder / "labels.csv", "file", "class_index"):
        index = int(row["class_index"])
        word = words(index)
        objects = () if word is None else (LabelledBox(word, WHOLE),)
        photos.append(
            Photo(f"{folder.name}/{row['file']}", folder / "images" / row["file"], objects, False, index)
        )
    return photos


def read_photos(folder: str | Path) -> list[Photo]:
    """Reads every set of photos in a folder: subfolders with an ``instances.json`` or a ``labels.csv``."""
    photos: list[Photo] = []
    for part in subfolders(folder):
        if (part / "instances.json").is_file():
            photos += read_coco(part)
        elif (part / "labels.csv").is_file():
            photos += read_labelled_folder(part, word_of_ilsvrc)
    if not photos:
        raise InputError(
            f"Expected photos with an instances.json (COCO) or a labels.csv in a subfolder of {str(folder)!r}, "
            "found none."
        )
    return photos

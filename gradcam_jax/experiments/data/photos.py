"""Photos with what is on them, read from standard files: COCO's ``instances.json``, a folder with labels."""

import contextlib
import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.faults import Faults, collected, ids_of, is_number, records_of, whole_number
from gradcam_jax.experiments.data.words import word_of_category, word_of_ilsvrc
from gradcam_jax.formats.json_file import read_json
from gradcam_jax.text.ilsvrc import imagenet_classes


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


def read_table(path: Path, *columns: str, faults: Faults | None = None) -> list[tuple[str, dict[str, str]]]:
    """Reads the rows of a CSV file that has these columns; ``image``, as in Flickr8k's table, is ``file``.

    Args:
        path: The file.
        columns: The columns that it must have.
        faults: Takes the rows that lack a cell; without it they are an error.

    Returns:
        Each row's place, for messages, and the row.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines, skipinitialspace=True)
            names = reader.fieldnames or ()
            reader.fieldnames = [{"image": "file"}.get(name.strip(), name.strip()) for name in names]
            rows = [(f"{path} line {reader.line_num}", row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The table {str(path)!r} cannot be read: {error}.") from error
    expected = f"the columns {' and '.join(map(repr, columns))}"
    if not set(columns) <= set(reader.fieldnames):
        raise InputError(f"Expected {expected} in {str(path)!r}, got {list(names)} instead.")
    whole = []
    with collected(faults) as own:
        for place, row in rows:
            empty = [name for name in columns if not (row[name] or "").strip()]
            if empty:
                own.add(place, f"expected {expected}, got nothing in {' and '.join(map(repr, empty))}")
            else:
                whole.append((place, row))
    return whole


def read_coco(folder: str | Path, faults: Faults | None = None) -> list[Photo]:
    """Reads COCO photos and boxes: ``instances.json`` and the photos in ``images``."""
    return read_coco_file(Path(folder) / "instances.json", Path(folder) / "images", faults)


def read_coco_file(file: Path, folder: Path, faults: Faults | None = None) -> list[Photo]:
    """Reads a COCO file of instances, and where its photos lie; a crowd is one object, known by its box.

    Records at fault are an error that lists them all, or are taken in by ``faults`` and left out.
    """
    content = read_json(file, "images", "annotations", "categories")
    with collected(faults) as own:
        words = {}
        for place, category, (number,) in records_of(content, "categories", file, own, ("id",)):
            if isinstance(category.get("name"), str):
                words[number] = word_of_category(category["name"])
            else:
                own.add(place, f"expected a name, got {category.get('name')!r}")
        images = dict(_images(content, file, own))
        left_out = ids_of(content, "images")
        objects: dict[int, list[LabelledBox]] = {number: [] for number in images}
        ids = ("image_id", "category_id")
        for place, annotation, (image, category) in records_of(content, "annotations", file, own, ids):
            if image not in images:
                if image not in left_out:  # else the image is the fault
                    own.add(place, f"there is no image {image} in the file")
            elif category not in words:
                own.add(place, f"there is no category {category} in the file")
            elif problem := _shape_problem(annotation):
                own.add(place, problem)
            else:
                objects[image].append(_labelled_box(annotation, words[category], images[image]))
    return [
        Photo(f"coco/{number}", folder / image["file_name"], tuple(objects[number]), True)
        for number, image in images.items()
    ]


def _labelled_box(annotation: dict[str, Any], word: str, image: dict[str, Any]) -> LabelledBox:
    width, height = image["width"], image["height"]
    left, top, wide, high = annotation["bbox"]
    box = Box(left / width, top / height, (left + wide) / width, (top + high) / height)
    outlines = annotation.get("segmentation", ())
    polygons = (
        tuple(tuple((np.reshape(outline, (-1, 2)) / (width, height)).ravel().tolist()) for outline in outlines)
        if isinstance(outlines, list)
        else ()
    )
    return LabelledBox(word, box, polygons=polygons)


def _shape_problem(annotation: dict[str, Any]) -> str:
    """Returns what is wrong with an object's box or outline, or nothing."""
    box, outlines = annotation.get("bbox"), annotation.get("segmentation", ())
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)) or min(box[2:]) < 0:
        return f"expected a bbox [left, top, width, height], got {str(box)[:60]}"
    for outline in outlines if isinstance(outlines, list) else ():
        if not isinstance(outline, list) or len(outline) % 2 or not all(map(is_number, outline)):
            return f"expected a segmentation of polygons [x, y, x, y, ...], got {str(outline)[:60]}"
    return ""


def _images(content: dict[str, Any], file: Path, faults: Faults) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the number and the record of each image that has a name and a size."""
    seen: set[int] = set()
    for place, image, (number,) in records_of(content, "images", file, faults, ("id",)):
        size = image.get("width"), image.get("height")
        if number in seen:
            faults.add(place, f"the id {number} is another image's too")
        elif not isinstance(image.get("file_name"), str):
            faults.add(place, f"expected a file_name, got {image.get('file_name')!r}")
        elif not all(is_number(length) and length > 0 for length in size):
            faults.add(place, f"expected a width and a height above 0, got {size[0]!r} and {size[1]!r}")
        else:
            seen.add(number)
            yield number, image


def read_labelled_folder(
    folder: str | Path, words: Callable[[int], str | None], faults: Faults | None = None, *, classes: int = 1000
) -> list[Photo]:
    """Reads photos of one labelled object each; ``words`` gives the everyday word of a class, or None.

    The folder has ``labels.csv`` with the columns ``file`` and ``class_index`` (0-based), and ``images``. Rows at
    fault are an error that lists them all, or are taken in by ``faults`` and left out.
    """
    folder = Path(folder)
    photos = []
    with collected(faults) as own:
        for place, row in read_table(folder / "labels.csv", "file", "class_index", faults=own):
            index, problem = _class_index(row["class_index"].strip(), classes)
            if problem:
                own.add(place, problem)
                continue
            word = words(index)
            objects = () if word is None else (LabelledBox(word, WHOLE),)
            path = folder / "images" / row["file"]
            photos.append(Photo(f"{folder.name}/{row['file']}", path, objects, False, index))
    return photos


def _class_index(text: str, classes: int) -> tuple[int, str]:
    """Returns a class's index, or what is wrong with it."""
    expected = f"expected a class_index from 0 to {classes - 1}, got {text!r}"
    if text.lstrip("-").isascii() and text.lstrip("-").isdigit():
        index = int(text)
        return (index, "") if 0 <= index < classes else (0, expected)
    wnids = {class_.wnid: class_.index for class_ in imagenet_classes()}
    if text in wnids:
        return 0, f"{expected}, a WordNet id: that of {wnids[text]}"
    with contextlib.suppress(ValueError):
        number = whole_number(float(text)) if is_number(float(text)) else None
        if number is not None:
            return 0, f"{expected}: write {number}"
    return 0, expected


def read_photos(folder: str | Path, faults: Faults | None = None, *, required: bool = True) -> list[Photo]:
    """Reads every set of photos in a folder: subfolders with an ``instances.json`` or a ``labels.csv``.

    Args:
        folder: The folder.
        faults: Takes what is at fault, which is left out; without it all faults are one error.
        required: Whether a folder without photos is an error.
    """
    photos: list[Photo] = []
    found = False
    with collected(faults) as own:
        for part in subfolders(folder):
            if (part / "instances.json").is_file():
                photos += read_coco(part, own)
            elif (part / "labels.csv").is_file():
                photos += read_labelled_folder(part, word_of_ilsvrc, own)
            else:
                continue
            found = True
    if not found and required:
        raise InputError(
            f"Expected photos with an instances.json (COCO) or a labels.csv in a subfolder of {str(folder)!r}, "
            "found none."
        )
    return photos

"""Photos with boxes of their objects: from COCO's, Pascal VOC's or ILSVRC's files, or a TensorFlow dataset."""

import functools
import xml.etree.ElementTree
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradcam_jax.errors import InputError, nearest
from gradcam_jax.evaluation.boxes import inclusive_box
from gradcam_jax.experiments.data.photos import Box, LabelledBox, Photo, read_coco_file, read_photos
from gradcam_jax.experiments.data.words import word_of_category
from gradcam_jax.images.tfds_source import PREFIX, open_prepared, read_record, without_decoding

_SUFFIXES = (".jpg", ".JPEG", ".jpeg", ".JPG", ".png", ".PNG")
_PREFERRED = ("test", "validation", "val")

# Where annotations, photos and lists of names lie: Pascal VOC's folders, and ILSVRC's.
_LAYOUTS = (
    ("Annotations", "JPEGImages", "ImageSets/Main"),
    ("Annotations/CLS-LOC/{split}", "Data/CLS-LOC/{split}", "ImageSets/CLS-LOC"),
)


def read_boxed(source: str, *, images: str = "", split: str = "") -> list[Photo]:
    """Reads photos whose objects have boxes.

    Args:
        source: ``"tfds:NAME"`` with ``image`` and ``objects``; a COCO file of instances, or a folder with
            ``instances.json`` and ``images``, or one of such folders; a folder of Pascal VOC (``Annotations``,
            ``JPEGImages``, ``ImageSets``) or of ILSVRC (the same for ``CLS-LOC``); or a folder of such XML files.
        images: The folder with the photos, where they do not lie as said.
        split: Which part of the data: of VOC, ILSVRC and a TensorFlow dataset, whose default is its test or else
            its validation part.

    Returns:
        The photos, ``complete`` with their objects; those of ILSVRC are named by their WordNet ids, others by the
        everyday word of their category.

    Raises:
        InputError: If there are none, or they cannot be read.
    """
    if source.startswith(PREFIX):
        return _read_tfds(source.removeprefix(PREFIX), split)
    path = Path(source)
    if path.is_file():
        return read_coco_file(path, Path(images) if images else path.parent / "images")
    if (path / "instances.json").is_file():
        return read_coco_file(path / "instances.json", Path(images) if images else path / "images")
    for annotations, photos, lists in _LAYOUTS:
        if (path / lists).is_dir():
            name = _split_of(sorted(file.stem for file in (path / lists).glob("*.txt")), split, path)
            folders = (path / folder.format(split=name) for folder in (annotations, photos))
            names = (path / lists / f"{name}.txt").read_text(encoding="utf-8").splitlines()
            return _read_xml(next(folders), next(folders), names)
    if any(path.glob("*.xml")):
        return _read_xml(path, Path(images or path), sorted(file.stem for file in path.glob("*.xml")))
    photos = [photo for photo in read_photos(path) if photo.complete] if path.is_dir() else []
    if not photos:
        raise InputError(
            f"Expected boxes in {source!r}: a COCO file, a folder with instances.json, Annotations of Pascal VOC "
            f"or ILSVRC, XML files, or {PREFIX}NAME."
        )
    return photos


def _split_of(known: Sequence[str], split: str, where: Any) -> str:
    if split and split not in known:
        near = ", ".join(nearest(split, known) or known)
        raise InputError(f"{str(where)!r} has no split {split!r}. Nearest: {near}.")
    chosen = split or next((name for name in _PREFERRED if name in known), "")
    if not chosen:
        raise InputError(f"Name the split of {str(where)!r}: --split {' or '.join(known)}.")
    return chosen


def _read_xml(annotations: Path, photos: Path, lines: Sequence[str]) -> list[Photo]:
    names = [line.split()[0] for line in lines if line.strip()]
    part = annotations.parent.name
    return [
        Photo(f"{part}/{name}", _photo_file(photos, name), _objects(annotations / f"{name}.xml"), True)
        for name in names
    ]


def _photo_file(folder: Path, name: str) -> Path:
    """Returns the photo of a name, whatever it ends in; a JPEG that is missed when it is read if there is none."""
    files = (folder / (name + suffix) for suffix in _SUFFIXES)
    return next((file for file in files if file.is_file()), folder / f"{name}.jpg")


def _objects(path: Path) -> tuple[LabelledBox, ...]:
    try:
        root = xml.etree.ElementTree.parse(path).getroot()
        return tuple(_xml_objects(root))
    except OSError as error:
        raise InputError(f"The annotation {str(path)!r} cannot be read: {error.strerror}.") from error
    except (xml.etree.ElementTree.ParseError, ValueError, ZeroDivisionError) as error:
        raise InputError(f"{str(path)!r} is no annotation of Pascal VOC's or ILSVRC's: {error}.") from error


def _xml_objects(root: xml.etree.ElementTree.Element) -> Iterator[LabelledBox]:
    """Reads what VOC's development kit wrote: boxes name their first and last pixel, counted from 1."""

    def number(element: xml.etree.ElementTree.Element, name: str) -> float:
        text = element.findtext(name)
        if text is None:
            raise ValueError(f"it has no {name}")
        return float(text)

    size = number(root, "size/width"), number(root, "size/height")
    for item in root.iter("object"):
        first, last = ((number(item, f"bndbox/x{end}"), number(item, f"bndbox/y{end}")) for end in ("min", "max"))
        edges = np.clip(inclusive_box(first, last, size), 0, 1).tolist()
        difficult = (item.findtext("difficult") or "0").strip() == "1"
        yield LabelledBox(word_of_category(item.findtext("name") or ""), Box(*edges), difficult)


def _read_tfds(source: str, split: str) -> list[Photo]:
    builder = open_prepared(source)
    try:
        names = builder.info.features["objects"]["label"].names
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"Expected a dataset with 'image' and 'objects' of a 'bbox' and a 'label', got "
            f"{sorted(builder.info.features)}."
        ) from error
    split = _split_of(list(builder.info.splits), split, PREFIX + source)
    records = builder.as_data_source(split=split, decoders={"image": without_decoding()})
    photos = []
    for index in range(len(records)):
        key = f"{source}/{split}/{index}"
        load = functools.partial(read_record, source, split, index)
        photos.append(Photo(key, Path(key), _tfds_objects(records[index]["objects"], names), True, load=load))
    return photos


def _tfds_objects(record: Any, names: Sequence[str]) -> tuple[LabelledBox, ...]:
    """Reads boxes as TFDS has them: top, left, bottom, right, in fractions."""
    flags = record.get("is_difficult", np.zeros(len(record["label"]), bool))
    return tuple(
        LabelledBox(word_of_category(names[int(label)]), Box(left, top, right, bottom), bool(difficult))
        for (top, left, bottom, right), label, difficult in zip(
            np.asarray(record["bbox"], float).tolist(), record["label"], flags, strict=True
        )
    )

"""Captioned photos from a TensorFlow dataset that is on this machine already, read without TensorFlow.

Photos are decoded when they are looked at, one at a time; what is kept in memory are the captions.
"""

import functools
import os
from pathlib import Path
from typing import Any

import numpy as np

from gradcam_jax.data.captions import CaptionedPhoto
from gradcam_jax.errors import InputError
from gradcam_jax.interception.names import nearest

PREFIX = "tfds:"
"""What tells such a source from a folder, as in ``"tfds:coco_captions/2014"``."""

_SPLITS = {"train": "train", "restval": "train", "val": "validation", "test": "test"}
# Karpathy and Li's, which the dataset brings: 113,287 photos for training, 5,000 and 5,000 kept apart.


def read_tfds_captions(source: str) -> dict[str, list[CaptionedPhoto]]:
    """Reads a prepared dataset with an ``image`` and ``captions``; nothing is downloaded.

    Args:
        source: Such as ``"tfds:coco_captions/2014"``. It lies in ``$TFDS_DATA_DIR``, else in
            ``~/tensorflow_datasets``; the newest version there is taken.

    Returns:
        ``"train"``, ``"validation"`` and ``"test"`` -> photos, as the dataset itself is split.

    Raises:
        InputError: If tensorflow-datasets is not installed, or the dataset is not here in a form that can be read
            without TensorFlow; the message tells the command that prepares it.
    """
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise InputError(
            f"Reading {source!r} needs tensorflow-datasets: pip install gradcam-jax[train]."
        ) from error
    tfds: Any = tensorflow_datasets  # its modules are attributes that a type checker does not see
    name = source.removeprefix(PREFIX)
    folder = Path(os.environ.get("TFDS_DATA_DIR") or tfds.core.constants.DATA_DIR)
    versions = [path.parent for path in (folder / name).glob("*/dataset_info.json")]
    prepare = f"tfds build {name} --file_format=array_record --data_dir={folder}  (needs tensorflow)"
    if not versions:
        raise InputError(f"There is no dataset {name!r} in {str(folder)!r}. Prepare it once:  {prepare}")
    builder: Any = tfds.builder_from_directory(max(versions, key=_version))
    if builder.info.file_format != tfds.core.FileFormat.ARRAY_RECORD:
        written = builder.info.file_format.value
        raise InputError(
            f"{name!r} was written as {written}, which only TensorFlow reads. Prepare it anew:  {prepare}"
        )
    if not {"image", "captions"} <= set(builder.info.features):
        raise InputError(f"Expected a dataset with 'image' and 'captions', got {sorted(builder.info.features)}.")
    splits: dict[str, list[CaptionedPhoto]] = {"train": [], "validation": [], "test": []}
    for split in builder.info.splits:
        if split not in _SPLITS:
            near = nearest(split, _SPLITS) or list(_SPLITS)
            raise InputError(f"{name!r} has the unknown split {split!r}. Nearest: {', '.join(near)}.")
        splits[_SPLITS[split]] += _photos(tfds, builder, name, split)
    return splits


def _photos(tfds: Any, builder: Any, name: str, split: str) -> list[CaptionedPhoto]:
    """Reads the captions of a split; the photos stay on disk."""
    decoded = builder.as_data_source(split=split)
    encoded = builder.as_data_source(split=split, decoders={"image": tfds.decode.SkipDecoding()})
    photos = []
    for index in range(len(encoded)):
        record = encoded[index]
        number = record.get("image/id", index)
        texts = tuple(text.decode() for text in record["captions"]["text"])
        if texts:
            key = f"{name.split('/')[0].split('_')[0]}/{int(number)}"
            photos.append(CaptionedPhoto(key, Path(key), texts, functools.partial(_pixels, decoded, index)))
    return photos


def _pixels(source: Any, index: int) -> np.ndarray:
    return np.asarray(source[index]["image"], np.uint8)


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in folder.name.split("."))

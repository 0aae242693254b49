"""Captioned photos from a TensorFlow dataset that is on this machine already, read without TensorFlow.

Photos are decoded when they are looked at, one at a time; what is kept in memory are the captions.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from gradcam_jax.errors import InputError, nearest
from gradcam_jax.experiments.data.captions import CaptionedPhoto
from gradcam_jax.images.tfds_source import PREFIX, open_prepared, without_decoding

_SPLITS = {"train": "train", "restval": "train", "val": "validation", "test": "test"}
# Karpathy and Li's, which the dataset brings: 113,287 photos for training, 5,000 and 5,000 kept apart.


def read_tfds_captions(source: str) -> dict[str, list[CaptionedPhoto]]:
    """Returns the photos of a prepared dataset with an ``image`` and ``captions``, in its own splits."""
    name = source.removeprefix(PREFIX)
    builder = open_prepared(name)
    if not {"image", "captions"} <= set(builder.info.features):
        raise InputError(f"Expected a dataset with 'image' and 'captions', got {sorted(builder.info.features)}.")
    splits: dict[str, list[CaptionedPhoto]] = {"train": [], "validation": [], "test": []}
    for split in builder.info.splits:
        if split not in _SPLITS:
            near = nearest(split, _SPLITS) or list(_SPLITS)
            raise InputError(f"{name!r} has the unknown split {split!r}. Nearest: {', '.join(near)}.")
        splits[_SPLITS[split]] += _photos(builder, name, split)
    return splits


def _photos(builder: Any, name: str, split: str) -> list[CaptionedPhoto]:
    """Reads the captions of a split; the photos stay on disk."""
    decoded = builder.as_data_source(split=split)
    encoded = builder.as_data_source(split=split, decoders={"image": without_decoding()})
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

"""How far a device's scores and maps of a few photos are from another's, in each precision."""

from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from gradcam_jax import zoo
from gradcam_jax.evaluation.agreement import map_agreement
from gradcam_jax.images import read_photo, sample_photo, to_network
from gradcam_jax.pipeline import read_items


def compare(path: str, reference: str) -> dict[str, float]:
    """Compares two files of outputs and maps of the same photos, as the worker's ``maps`` writes them.

    Args:
        path: ``.npz`` with ``outputs`` ``(n, classes)`` and ``cam`` ``(n, h, w)``.
        reference: What they should be.

    Returns:
        What is measured in words -> its value: Spearman's rank correlation of the maps, the largest difference of
        a map and of a photo's outputs as shares of the reference's largest magnitude; of each the median over the
        photos and the worst.
    """
    ours, theirs = np.load(path), np.load(reference)
    maps = jax.device_get(jax.vmap(map_agreement)(ours["cam"], theirs["cam"]))
    largest = np.abs(theirs["outputs"]).max(axis=-1)
    scores = np.abs(ours["outputs"] - theirs["outputs"]).max(axis=-1) / largest
    worst = {
        "rank correlation of maps": (maps.rank_correlation, np.min),
        "difference of maps": (maps.difference, np.max),
        "difference of scores": (scores, np.max),
    }
    values = {}
    for name, (each, extreme) in worst.items():
        values[f"{name}, median"] = float(np.median(each))
        values[f"{name}, worst"] = float(extreme(each))
    return values


def write_photos(path: Path, entry: zoo.Entry, images: str, count: int) -> int:
    """Writes photos as a model takes them, ``(n, H, W, 3)`` float32, to a ``.npy`` file; returns how many.

    Args:
        path: Where.
        entry: The model's.
        images: What :func:`gradcam_jax.pipeline.read_items` takes; empty: the sample photo.
        count: At most so many.
    """
    preprocessing = entry.preprocessing
    pixels = (preprocessing.resize(photo, entry.size).image for photo in _photos(images, count))
    photos = [to_network(image, preprocessing) for image in pixels]
    np.save(path, np.stack(photos))
    return len(photos)


def _photos(images: str, count: int) -> Iterator[np.ndarray]:
    if not images:
        yield sample_photo()
        return
    for item, _ in zip(read_items(images), range(count), strict=False):
        yield read_photo(item.path)

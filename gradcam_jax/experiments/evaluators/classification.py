"""Measures a classifier's accuracy over labelled photos: a check that weights, recipe and labels fit together."""

from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.batches import in_batches
from gradcam_jax.experiments.data.faults import Faults, keep_whole
from gradcam_jax.experiments.data.photos import read_labelled_folder
from gradcam_jax.experiments.data.words import word_of_ilsvrc
from gradcam_jax.experiments.evaluators.findings import Finding
from gradcam_jax.experiments.reporting import Progress
from gradcam_jax.images.photos import read_photo
from gradcam_jax.images.preprocessing import Preprocessing, to_network
from gradcam_jax.interception.tapped import Tapped
from gradcam_jax.zoo import Loaded

_BATCH = 16


def accuracy(
    loaded: Loaded,
    folder: Path,
    preprocessing: Preprocessing,
    faults: Faults,
    progress: Progress,
    *,
    size: int,
) -> Iterator[Finding]:
    """Yields the shares of labelled photos whose class is the first, and among the first five.

    The folder has ``labels.csv`` (columns ``file`` and ``class_index``, 0-based) and the photos in ``images``.
    """
    photos = read_labelled_folder(folder, word_of_ilsvrc, faults, classes=len(loaded.labels))
    photos = keep_whole(photos, faults, progress=progress)
    faults.settle()
    if not photos:
        raise InputError(f"Expected photos in {str(folder)!r}, got none that can be read.")

    @jax.jit
    def classify(forward: Tapped, images: jax.Array) -> jax.Array:
        return jax.vmap(lambda image: forward({}, image)[0])(images)

    forward = loaded.tapped()

    def run(rows: np.ndarray) -> jax.Array:
        images = np.stack([preprocessing.resize(read_photo(photos[row].path), size).image for row in rows])
        logits = classify(forward, to_network(images, preprocessing))
        progress("photos", int(rows[-1]) + 1, len(photos))
        return logits

    logits = in_batches(run, np.arange(len(photos)), batch_size=_BATCH)
    classes = np.array([[photo.class_index] for photo in photos])
    ranks = (logits > np.take_along_axis(logits, classes, axis=1)).sum(axis=1)
    yield "recipe", preprocessing.name
    yield "size", size
    yield "photos", len(photos)
    yield "top_1", float(np.mean(ranks < 1))
    yield "top_5", float(np.mean(ranks < 5))

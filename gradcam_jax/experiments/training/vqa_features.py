"""The frozen CNN's features of the views that the bundled VQA model is trained and checked on."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from gradcam_jax.experiments.data.features import cached, encode_images, image_encoder
from gradcam_jax.experiments.data.photos import Photo, Split, photos_of
from gradcam_jax.experiments.data.views import Part, View, rendered, training_views, two_animal_collages, view_of
from gradcam_jax.experiments.training.located import is_located
from gradcam_jax.experiments.training.vqa import Whitening
from gradcam_jax.zoo.classifiers import find_entry

CNN = "efficientnet_lite0"
"""The zoo's name of the frozen CNN."""

TRAINING_SIZE = 224
"""Side of the captioner's views, in pixels; the VQA model sees its own as large as it explains photos."""

_COLLAGES = 2000
_TEST_COLLAGES = 120
_SEED = 123

Progress = Callable[[str, int, int], None]


class ViewFeatures(NamedTuple):
    """Views with what the CNN says of each.

    Attributes:
        views: The views.
        features: Mean over positions of the last convolution, ``(views, 1280)`` float32.
        logits: Class logits, ``(views, 1000)`` float32.
    """

    views: Sequence[View]
    features: np.ndarray
    logits: np.ndarray


def split_views(photos: Sequence[Photo], split: Split) -> list[View]:
    """Returns the views of one part of the data: many of each training photo, each other photo as it is."""
    chosen = photos_of(photos, split)
    if split == "train":
        return training_views(chosen, np.random.default_rng(_SEED), collages=_COLLAGES)
    return [view_of(Part(photo)) for photo in chosen]


def held_out_collages(photos: Sequence[Photo], split: Split) -> list[View]:
    """Returns pictures of two animals side by side, from photos of a part that is not trained on."""
    chosen = photos_of(photos, split)
    return two_animal_collages(chosen, np.random.default_rng(_SEED), _TEST_COLLAGES)


def view_features(views: Sequence[View], size: int, cache: Path, progress: Progress) -> ViewFeatures:
    """Runs the frozen CNN over views, or reads what it returned before.

    Args:
        views: The views.
        size: Side of the pictures, in pixels.
        cache: The file that keeps the features.
        progress: Called with the cache's name and the numbers of views done and to be done.
    """

    def compute() -> dict[str, np.ndarray]:
        encode = image_encoder(find_entry(CNN), "pool")
        images = rendered(views, size)
        return encode_images(
            encode, images, len(views), report=lambda done: progress(cache.stem, done, len(views))
        )

    description = {"cnn": CNN, "layer": "pool", "size": size, "views": [view.name for view in views]}
    arrays = cached(cache, description, compute)
    return ViewFeatures(views, arrays["features"], arrays["logits"])


def located_positions(
    views: Sequence[View], size: int, whiten: Whitening, cache: Path, progress: Progress
) -> dict[int, np.ndarray]:
    """Returns what each position of the last convolution contributes to what the head reads, to first order.

    Args:
        views: The views; only those with a thing in a box are looked at.
        size: Side of the pictures, in pixels.
        whiten: From pooled features to what the head reads.
        cache: The file that keeps the result.
        progress: Called with the cache's name and the numbers of views done and to be done.

    Returns:
        Index of the view -> ``(h * w, axes)`` float16, the derivative of the whitened mean in the direction of
        the activations at each position.
    """
    chosen = [index for index, view in enumerate(views) if is_located(view)]
    named = [views[index] for index in chosen]

    def compute() -> dict[str, np.ndarray]:
        maps_of = image_encoder(find_entry(CNN), "head_relu")

        def encode(images: jax.Array) -> dict[str, jax.Array]:
            maps = maps_of(images)["features"]
            cells = maps.reshape(maps.shape[0], -1, maps.shape[-1])
            return {"positions": jax.vmap(whiten.contributions)(cells)}

        found = encode_images(
            encode, rendered(named, size), len(named), report=lambda done: progress(cache.stem, done, len(named))
        )
        return {"positions": found["positions"].astype(np.float16)}

    if not named:
        return {}
    description = {
        "cnn": CNN,
        "layer": "head_relu",
        "size": size,
        "views": [view.name for view in named],
        "whitening": hashlib.sha256(whiten.matrix.tobytes()).hexdigest(),
    }
    positions = cached(cache, description, compute)["positions"]
    return dict(zip(chosen, positions, strict=True))

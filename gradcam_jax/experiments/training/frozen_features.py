"""A frozen CNN's features of views and photos, computed once and kept on disk."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax import zoo
from gradcam_jax.experiments.data.features import cached, encode_views, feature_file, image_encoder
from gradcam_jax.experiments.data.located_captions import is_located
from gradcam_jax.experiments.data.views import View
from gradcam_jax.experiments.reporting import Progress
from gradcam_jax.experiments.training.principal_axes import PrincipalAxes
from gradcam_jax.images.photos import read_photo
from gradcam_jax.images.preprocessing import to_network

CNN = "efficientnet_lite0"
"""The zoo's name of the CNN of the bundled heads."""


class ViewFeatures(NamedTuple):
    """Views with the CNN's pooled features, ``(views, 1280)``, and logits, ``(views, 1000)``, float32."""

    views: Sequence[View]
    features: np.ndarray
    logits: np.ndarray


def view_features(views: Sequence[View], size: int, cache: Path, progress: Progress) -> ViewFeatures:
    """Runs the frozen CNN over views of a size, or reads what it returned before."""

    def compute() -> dict[str, np.ndarray]:
        return encode_views(
            image_encoder(CNN, "pool"), views, size, lambda done: progress(cache.stem, done, len(views))
        )

    description = {"cnn": CNN, "layer": "pool", "size": size, "views": [view.name for view in views]}
    arrays = cached(cache, description, compute)
    return ViewFeatures(views, arrays["features"], arrays["logits"])


def located_positions(
    views: Sequence[View], size: int, axes: PrincipalAxes, cache: Path, progress: Progress
) -> dict[int, np.ndarray]:
    """Returns what each position of the last convolution contributes to what the head reads, to first order.

    For each view with an object in a box: index -> ``(h * w, axes)`` float16, the derivative of the mapped mean
    in the direction of the activations at each position.
    """
    rows = [index for index, view in enumerate(views) if is_located(view)]
    located = [views[index] for index in rows]

    def compute() -> dict[str, np.ndarray]:
        maps_of = image_encoder(CNN, "head_relu")

        def encode(images: jax.Array) -> dict[str, jax.Array]:
            maps = maps_of(images)["features"]
            cells = maps.reshape(maps.shape[0], -1, maps.shape[-1])
            return {"positions": jax.vmap(axes.contributions)(cells)}

        arrays = encode_views(encode, located, size, lambda done: progress(cache.stem, done, len(located)))
        return {"positions": arrays["positions"].astype(np.float16)}

    if not located:
        return {}
    description = {
        "cnn": CNN,
        "layer": "head_relu",
        "size": size,
        "views": [view.name for view in located],
        "whitening": hashlib.sha256(axes.matrix.tobytes()).hexdigest(),
    }
    return dict(zip(rows, cached(cache, description, compute)["positions"], strict=True))


def view_activations(views: Sequence[View], size: int, cache: Path, progress: Progress) -> np.ndarray:
    """Returns the last convolution's activations at each position, ``(views, h * w, 1280)`` float16."""

    def compute() -> dict[str, np.ndarray]:
        encode = image_encoder(CNN, "head_relu")

        def activations(images: jax.Array) -> dict[str, jax.Array]:
            maps = encode(images)["features"].astype(jnp.float16)
            return {"activations": maps.reshape(maps.shape[0], -1, maps.shape[-1])}

        return encode_views(activations, views, size, lambda done: progress(cache.stem, done, len(views)))

    names = [view.name for view in views]
    return cached(cache, {"cnn": CNN, "layer": "head_relu", "size": size, "views": names}, compute)["activations"]


def photo_features(model: str, photos: Sequence[Path], folder: Path, progress: Progress) -> np.ndarray:
    """Returns the features that a VQA model's frozen CNN gives its head, ``(photos, k)``, from a mapped file.

    A run that is stopped here goes on where it stopped.
    """
    entry = zoo.find(model)
    assert entry.cnn is not None, f"{model} has a CNN of its own"
    module, preprocessing = entry.build(words=1, answers=1), entry.preprocessing
    variables = jax.device_put(zoo.with_cnn({}, entry.cnn))

    def encode(images: jax.Array) -> jax.Array:
        return jnp.asarray(module.apply(variables, to_network(images, preprocessing), method="features"))

    def image_at(index: int) -> np.ndarray:
        return preprocessing.resize(read_photo(photos[index]), preprocessing.size).image

    names = hashlib.sha256("\n".join(photo.name for photo in photos).encode()).hexdigest()
    return feature_file(
        folder,
        {"cnn": entry.cnn, "recipe": preprocessing.name, "size": preprocessing.size, "photos": names},
        encode,
        image_at,
        len(photos),
        report=lambda done: progress("features", done, len(photos)),
    )

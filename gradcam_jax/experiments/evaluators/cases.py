"""What is measured: objects of photos, each a target of the model; and the maps of a batch of them."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.attribution.resize import resize_corner_aligned
from gradcam_jax.errors import InputError, lookup
from gradcam_jax.evaluation.baselines import centre_map, random_map, uniform_map
from gradcam_jax.evaluation.boxes import Truth
from gradcam_jax.experiments.data.photos import LabelledBox, Photo
from gradcam_jax.experiments.evaluators.asking import Asking
from gradcam_jax.experiments.evaluators.measures import peaks_of, positive
from gradcam_jax.images import read_photo
from gradcam_jax.interception.tapped import Tapped
from gradcam_jax.tasks import METHODS
from gradcam_jax.tasks.methods import GRAD_CAM
from gradcam_jax.tasks.task import Plan, explain_photos

COUNTERFACTUAL = "counterfactual"
BASELINES = ("centre", "random", "uniform")
"""Maps that know nothing of the model."""

KNOWN_METHODS = (*METHODS, COUNTERFACTUAL, *BASELINES)
"""What can be measured: all that the tasks compute, Grad-CAM of the negated gradient, and the baselines."""


Row = TypeVar("Row")


class Case(NamedTuple):
    """One object of one photo, or a photo's predictions.

    Attributes:
        id: Tells it from every other case.
        photo: The photo.
        word: The object's; empty for predictions.
        objects: Where it is: every instance that counts.
        arrays: What goes with the photo.
        truths: For predictions: what is on the photo.
    """

    id: str
    photo: Photo
    word: str
    objects: tuple[LabelledBox, ...]
    arrays: Mapping[str, np.ndarray]
    truths: tuple[Truth, ...] = ()


class BatchMaps(NamedTuple):
    """The maps of a batch.

    Attributes:
        heatmaps: ``(n, targets, methods, H, W)``, not negative.
        peaks: The centre of each one's highest cell, at its own resolution: ``(n, targets, methods, 2)``.
        targets: A tree with leading axes ``(n, targets)``.
    """

    heatmaps: jax.Array
    peaks: jax.Array
    targets: Any


def read_methods(names: Sequence[str]) -> tuple[str, ...]:
    """Checks the names of methods; none stand for Grad-CAM and the baselines."""
    for name in names:
        lookup(dict.fromkeys(KNOWN_METHODS), name, "method")
    return tuple(dict.fromkeys(names)) or (GRAD_CAM, *BASELINES)


def object_cases(photos: Sequence[Photo], asking: Asking) -> list[Case]:
    """Returns a case for every kind of object on a photo that the model knows; not if all of it are difficult."""
    ask = functools.cache(asking.arrays_of)
    cases = []
    for photo in photos:
        for word in dict.fromkeys(item.word for item in photo.objects):
            objects = tuple(item for item in photo.objects if item.word == word)
            arrays = None if all(item.difficult for item in objects) else ask(word)
            if arrays is not None:
                cases.append(Case(f"{photo.key}#{word}", photo, word, objects, arrays))
    return cases


def prediction_cases(photos: Sequence[Photo], asking: Asking) -> list[Case]:
    """Returns a case for every photo on which there is something that the model has a class for."""
    cases = []
    for photo in photos:
        truths = []
        for word in dict.fromkeys(item.word for item in photo.objects):
            boxes = [item.box for item in photo.objects if item.word == word]
            truths.append(Truth(frozenset(asking.classes(word)), boxes))
        known = tuple(truth for truth in truths if truth.classes)
        if known:
            cases.append(Case(f"{photo.key}#predictions", photo, "", photo.objects, {}, known))
    return cases


def spread(rows: Sequence[Row], count: int) -> list[Row]:
    """Returns so many of the rows, evenly spread over them; all of them if the count is 0."""
    if count < 0:
        raise InputError(f"Expected --max_photos of at least 0, got {count} instead.")
    if not count or count >= len(rows):
        return list(rows)
    return [rows[index * len(rows) // count] for index in range(count)]


def pixels_of(photo: Photo) -> np.ndarray:
    """Returns a photo's pixels, uint8 RGB ``(H, W, 3)``."""
    return photo.load() if photo.load else read_photo(photo.path)


@functools.partial(jax.jit, static_argnames=("plan", "methods"))
def heatmaps_of(
    forward: Tapped,
    images: jax.Array,
    arrays: Mapping[str, jax.Array],
    seeds: jax.Array,
    *,
    plan: Plan,
    methods: tuple[str, ...],
) -> BatchMaps:
    """Makes the maps of a batch by every method, at the size of the network's image.

    Args:
        forward: The model.
        images: As the preprocessing returns them, ``(n, H, W, 3)``.
        arrays: What goes with them.
        seeds: Of the random maps, ``(n,)`` uint32.
        plan: What is computed.
        methods: Names, of :data:`KNOWN_METHODS`.
    """
    asked = tuple(name for name in METHODS if name in methods or name == GRAD_CAM)
    results = explain_photos(forward, images, arrays, plan=plan, methods=asked)
    cam, size = results["cam"], (images.shape[-3], images.shape[-2])

    def everywhere(one: np.ndarray) -> jax.Array:
        # Behind the barrier XLA takes it for data: it spends many seconds on the maximum of a large constant.
        return jax.lax.optimization_barrier(jnp.broadcast_to(one, (*cam.shape[:2], *size)))

    own = {
        GRAD_CAM: lambda: cam,
        COUNTERFACTUAL: lambda: -cam,
        "centre": lambda: everywhere(centre_map(size)),
        "uniform": lambda: everywhere(uniform_map(size)),
        "random": lambda: jax.vmap(lambda seed: random_map(jax.random.key(seed), cam.shape[1:]))(seeds),
    }
    maps = [positive(own[name]() if name in own else results[name]) for name in methods]
    heatmaps = jnp.stack([resize_corner_aligned(one, size) for one in maps], axis=2)
    return BatchMaps(heatmaps, jnp.stack([peaks_of(one) for one in maps], axis=2), results["targets"])

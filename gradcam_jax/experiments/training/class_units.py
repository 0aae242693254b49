"""A VQA head whose image side starts as the CNN's own classes.

Some hundred photos teach little of what animals look like, and the CNN's classifier was trained on a million. So
the units that the photo is projected to are set to its classes, each unit high where the class's score is, and
training moves them slowly.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

Params = Any

_HIGH = 1.0  # standard deviations of a class's score over the training views, from which on its unit is positive


def with_class_units(
    params: Params, features: np.ndarray, scores: np.ndarray, classes: Sequence[int], rng: np.random.Generator
) -> Params:
    """Returns a head's parameters whose first image units are classes, as many as there is room for.

    A unit is tanh of its class's standardised score less a threshold; the score is fitted by a linear function of
    what the head reads.

    Args:
        params: Parameters to start from; the other units stay as they are.
        features: What the head reads of each training view, ``(views, k)``.
        scores: The CNN's own class scores of each, ``(views, classes)``.
        classes: The classes that are of use.
        rng: Draws which ones, where there are more than units.
    """
    projection = {name: np.array(leaf) for name, leaf in params["image_projection"].items()}
    chosen = rng.permutation(np.array(classes))[: projection["kernel"].shape[1]]
    wanted = scores[:, chosen].astype(np.float64)
    spread = wanted.std(axis=0)
    wanted = (wanted - wanted.mean(axis=0)) / np.where(spread > 0, spread, 1)
    with_ones = np.concatenate([features, np.ones((len(features), 1))], axis=1, dtype=np.float64)
    *kernel, offset = np.linalg.lstsq(with_ones, wanted, rcond=None)[0]
    projection["kernel"][:, : len(chosen)] = kernel
    projection["bias"][: len(chosen)] = offset - _HIGH
    return {**params, "image_projection": {name: jnp.asarray(leaf) for name, leaf in projection.items()}}

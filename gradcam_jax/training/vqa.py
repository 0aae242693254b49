"""Trains a VQA head on a frozen CNN's features, and folds what helped the training into the head alone.

The head is trained on the CNN's normalised features f beside the class scores that the CNN's own classifier W
gives them, both standardised: ``x = ([f, f W] - m) / s``. That is linear in f, so afterwards it is folded into
the one projection that the model has: a model that reads f alone gives the same answers.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gradcam_jax.models.vqa import VQA, l2_normalize
from gradcam_jax.training.vqa_examples import Examples

Params = Any


class Standardizer(NamedTuple):
    """The linear map from the CNN's normalised features to what the head is trained on.

    Attributes:
        classifier: The CNN's own, ``(features, classes)``.
        mean: ``(features + classes,)``, over the training views.
        deviation: The same shape.
    """

    classifier: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray

    def __call__(self, pooled: np.ndarray) -> np.ndarray:
        """Maps pooled features ``(n, features)`` to ``(n, features + classes)``."""
        return (_widened(pooled, self.classifier) - self.mean) / self.deviation


def standardizer(pooled: np.ndarray, classifier: np.ndarray) -> Standardizer:
    """Returns the map that standardises these features, ``(views, features)``."""
    wide = _widened(pooled, classifier)
    # A number that never varies says nothing; dividing by 1 leaves it at 0.
    deviation = wide.std(axis=0)
    return Standardizer(classifier, wide.mean(axis=0), np.where(deviation > 1e-6, deviation, 1).astype(np.float32))


def fold(params: Params, standardize: Standardizer) -> Params:
    """Returns the parameters of the same head on the CNN's normalised features alone.

    Args:
        params: Trained on what ``standardize`` returns.
        standardize: That map.
    """
    kernel = np.asarray(params["image_projection"]["kernel"], np.float64) / standardize.deviation[:, None]
    length = standardize.classifier.shape[0]
    bias = np.asarray(params["image_projection"]["bias"], np.float64) - standardize.mean @ kernel
    folded = kernel[:length] + standardize.classifier.astype(np.float64) @ kernel[length:]
    projection = {"kernel": folded.astype(np.float32), "bias": bias.astype(np.float32)}
    return {**jax.tree.map(np.asarray, params), "image_projection": projection}


def head_loss(
    model: VQA, params: Params, batch: Mapping[str, jax.Array], key: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns the mean cross-entropy with the right answers, and the fraction of questions answered rightly.

    Args:
        model: The model; its CNN is not run.
        params: The head's.
        batch: ``features``, ``ids``, ``length`` and ``targets``, as :class:`EpochsOfQuestions` gives them.
        key: For dropout.
    """
    scores = model.apply(
        {"params": params},
        batch["features"],
        batch["ids"],
        batch["length"],
        train=True,
        method="answer",
        rngs={"dropout": key},
    )
    right = jnp.take_along_axis(batch["targets"], jnp.argmax(scores, axis=-1)[:, jnp.newaxis], axis=-1) > 0
    loss = jnp.mean(optax.softmax_cross_entropy(scores, batch["targets"]))
    return loss, {"accuracy": jnp.mean(right.astype(jnp.float32))}


def predict(
    model: VQA, params: Params, features: np.ndarray, examples: Examples, batch_size: int = 512
) -> np.ndarray:
    """Returns every answer's score for each question, ``(n, answers)``, in batches of one shape.

    Args:
        model: The model; its CNN is not run.
        params: The head's.
        features: What the head reads, ``(views, k)``.
        examples: The questions.
        batch_size: Questions at once.
    """

    @jax.jit
    def score(params: Params, *batch: jax.Array) -> jax.Array:
        return model.apply({"params": params}, *batch, method="answer")

    parts = []
    for start in range(0, len(examples.view), batch_size):
        rows = np.arange(start, start + batch_size).clip(max=len(examples.view) - 1)
        found = score(params, features[examples.view[rows]], examples.ids[rows], examples.length[rows])
        parts.append(np.asarray(found)[: len(examples.view) - start])
    return np.concatenate(parts)


def _widened(pooled: np.ndarray, classifier: np.ndarray) -> np.ndarray:
    features = np.asarray(l2_normalize(jnp.asarray(pooled)))
    return np.concatenate([features, features @ classifier], axis=1)

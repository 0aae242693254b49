"""Trains a VQA head on a frozen CNN's features, and folds what helped the training into the head alone.

The head is trained on the CNN's normalised features f beside the class scores f W that the CNN's own classifier
gives them, rotated onto their principal axes: ``x = f M + o``. That is linear in f, so afterwards it is folded
into the one projection that the model has: a model that reads f alone gives the same answers.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gradcam_jax.experiments.training.located import location_loss
from gradcam_jax.experiments.training.vqa_examples import Examples
from gradcam_jax.models.vqa import VQA, l2_normalize

Params = Any


class Whitening(NamedTuple):
    """The linear map from the CNN's normalised features to what the head is trained on.

    Attributes:
        matrix: M, ``(features, axes)`` float64.
        offset: o, ``(axes,)`` float64.
    """

    matrix: np.ndarray
    offset: np.ndarray

    def __call__(self, pooled: np.ndarray) -> np.ndarray:
        """Maps pooled features ``(n, features)`` to ``(n, axes)`` float32."""
        return (_normalized(pooled) @ self.matrix + self.offset).astype(np.float32)

    def contributions(self, activations: jax.Array) -> jax.Array:
        """Returns what each position adds to the mapped mean over positions, to first order, times their number.

        Args:
            activations: Of the CNN's last convolution, ``(positions, features)``.

        Returns:
            ``(positions, axes)`` float32: the derivative of the map at the mean, along each position's vector.
        """
        matrix = jnp.asarray(self.matrix, jnp.float32)
        _, along = jax.linearize(lambda pooled: l2_normalize(pooled) @ matrix, jnp.mean(activations, axis=0))
        return jax.vmap(along)(activations)


def whitening(pooled: np.ndarray, classifier: np.ndarray, axes: int = 512) -> Whitening:
    """Returns the map onto the principal axes of the features beside the class scores.

    Features and scores are first brought to the same total variance; the axes together have a mean variance
    of 1, and keep their proportions, so that the faint ones stay faint.

    Args:
        pooled: The training views' pooled features, ``(views, features)``.
        classifier: The CNN's own, ``(features, classes)``.
        axes: How many are kept, at most.
    """
    features = _normalized(pooled)
    scores = features @ classifier.astype(np.float64)
    widen = np.concatenate(
        [np.eye(features.shape[1]) / _spread(features), classifier / _spread(scores)], axis=1, dtype=np.float64
    )
    mean = features.mean(axis=0)
    wide = (features - mean) @ widen
    variances, directions = np.linalg.eigh(wide.T @ wide / len(wide))
    kept = directions[:, ::-1][:, :axes]
    matrix = widen @ kept / np.sqrt(variances[::-1][:axes].mean())
    return Whitening(matrix, -mean @ matrix)


def fold(params: Params, whiten: Whitening) -> Params:
    """Returns the parameters of the same head on the CNN's normalised features alone.

    Args:
        params: Trained on what ``whiten`` returns.
        whiten: That map.
    """
    kernel = np.asarray(params["image_projection"]["kernel"], np.float64)
    bias = np.asarray(params["image_projection"]["bias"], np.float64) + whiten.offset @ kernel
    projection = {"kernel": (whiten.matrix @ kernel).astype(np.float32), "bias": bias.astype(np.float32)}
    return {**jax.tree.map(np.asarray, params), "image_projection": projection}


def initial_params(model: VQA, key: jax.Array, features: int) -> Params:
    """Returns a head's parameters to start from, so that it reads the question from the first steps on.

    The model's initialisers, but word vectors of unit variance, which a table's fan-in would shrink, and a bias
    of 1 for the forget gates, so that the first words are still remembered after the last.

    Args:
        model: The model; its CNN is not run.
        key: PRNG key.
        features: Length of the feature vectors.

    References:
        Jozefowicz et al., An Empirical Exploration of Recurrent Network Architectures, ICML 2015.
    """
    start = jax.jit(functools.partial(model.init, method="answer"))
    arguments = jnp.zeros((1, features)), jnp.zeros((1, 2), jnp.int32), jnp.ones(1, jnp.int32)
    params = start(key, *arguments)["params"]
    table = params["word_embedding"]["kernel"]
    params["word_embedding"]["kernel"] = jax.random.normal(jax.random.fold_in(key, 1), table.shape, table.dtype)
    for layer in ("lstm_1", "lstm_2"):
        gates = params[layer]["i2h"]["bias"]
        params[layer]["i2h"]["bias"] = gates.at[model.hidden : 2 * model.hidden].set(1.0)
    return params


def head_loss(
    model: VQA, params: Params, batch: Mapping[str, jax.Array], key: jax.Array, *, location_weight: float = 0.0
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns the mean cross-entropy with the right answers, and the fraction of questions answered rightly.

    A batch with located examples adds how far their maps lie beside their things, and reports the fraction of
    these maps whose highest point lies on them.

    Args:
        model: The model; its CNN is not run.
        params: The head's.
        batch: ``features``, ``ids``, ``length`` and ``targets``, as :class:`EpochsOfQuestions` gives them.
        key: For dropout.
        location_weight: Factor on the term of :func:`gradcam_jax.experiments.training.located.location_loss`.
    """

    def answer(model: VQA) -> tuple[jax.Array, jax.Array]:
        questions = model.question(batch["ids"], batch["length"], train=True)
        repeated = jnp.repeat(questions, batch["features"].shape[0] // questions.shape[0], axis=0)
        return model.fuse(batch["features"], repeated, train=True), repeated

    scores, questions = jax.tree.map(
        jnp.asarray, model.apply({"params": params}, method=answer, rngs={"dropout": key})
    )
    right = jnp.take_along_axis(batch["targets"], jnp.argmax(scores, axis=-1)[:, jnp.newaxis], axis=-1) > 0
    loss = jnp.mean(optax.softmax_cross_entropy(scores, batch["targets"]))
    metrics = {"accuracy": jnp.mean(right.astype(jnp.float32))}
    if "positions" in batch:
        beside, metrics["pointing"] = location_loss(model, params, batch, questions)
        loss = loss + location_weight * beside
    return loss, metrics


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
        return jnp.asarray(model.apply({"params": params}, *batch, method="answer"))

    parts = []
    for start in range(0, len(examples.view), batch_size):
        rows = np.arange(start, start + batch_size).clip(max=len(examples.view) - 1)
        found = score(params, features[examples.view[rows]], examples.ids[rows], examples.length[rows])
        parts.append(np.asarray(found)[: len(examples.view) - start])
    return np.concatenate(parts)


def _normalized(pooled: np.ndarray) -> np.ndarray:
    return np.asarray(l2_normalize(jnp.asarray(pooled))).astype(np.float64)


def _spread(values: np.ndarray) -> float:
    return float(np.sqrt(np.var(values, axis=0).sum()))

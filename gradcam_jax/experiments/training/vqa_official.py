"""Trains a VQA head on the official questions as the original was, or with a modern optimiser."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gradcam_jax.experiments.data.question_sets import QuestionArrays
from gradcam_jax.experiments.training.optimizers import modern, published_vqa
from gradcam_jax.experiments.training.vqa import initial_params
from gradcam_jax.models.vqa import VQA

Params = Any


class Preset(NamedTuple):
    """Everything that a run depends on besides its data and its model.

    Attributes:
        name: Its name on the command line.
        steps: Steps of the run.
        batch_size: Questions a step, drawn with replacement.
        answers: How many answers are kept, the most frequent ones.
        dropout: Fraction dropped at each of the model's five places.
        optimizer: From the number of steps to an optimiser.
        start: The head's parameters to start from: of a model, a key and the length of the features.
        keep_best: Whether the parameters with the best accuracy are kept, or those of the last step.
    """

    name: str
    steps: int
    batch_size: int
    answers: int
    dropout: float
    optimizer: Callable[[int], optax.GradientTransformation]
    start: Callable[[VQA, jax.Array, int], Params]
    keep_best: bool


def uniform_params(model: VQA, key: jax.Array, features: int) -> Params:
    """Returns a head's parameters, every one drawn uniformly from -0.08 to 0.08, the biases too.

    Args:
        model: The model; its CNN is not run.
        key: PRNG key.
        features: Length of the feature vectors.

    References:
        VT-vision-lab/VQA_LSTM_CNN, ``train.lua``.
    """
    drawn = model.clone(kernel_init=_uniform, bias_init=_uniform)
    arguments = jnp.zeros((1, features)), jnp.zeros((1, 2), jnp.int32), jnp.ones(1, jnp.int32)
    return jax.jit(lambda key: drawn.init(key, *arguments, method="answer"))(key)["params"]


def _uniform(key: jax.Array, shape: Any, dtype: Any = jnp.float32, **_: Any) -> jax.Array:
    return jax.random.uniform(key, shape, dtype, -0.08, 0.08)


PUBLISHED = Preset(
    name="published",
    steps=150_000,
    batch_size=500,
    answers=1000,
    dropout=0.5,
    optimizer=lambda _steps: published_vqa(),
    start=uniform_params,
    keep_best=False,
)
"""The original's: RMSprop with a decaying rate, from a uniform start, the last parameters kept."""

MODERN = Preset(
    name="modern",
    steps=30_000,
    batch_size=500,
    answers=1000,
    dropout=0.5,
    optimizer=lambda steps: modern(1e-3, steps),
    start=initial_params,
    keep_best=True,
)
"""AdamW with a cosine decay, the parameters that validated best kept. Not tuned on the official data."""

PRESETS = {preset.name: preset for preset in (PUBLISHED, MODERN)}
"""Every preset by name."""


def drawn_batches(
    features: np.ndarray, questions: QuestionArrays, answers: int, *, batch_size: int, seed: int
) -> Callable[[int], dict[str, np.ndarray]]:
    """Returns the batch of every step: questions drawn with replacement, a pure function of the step.

    Args:
        features: Every photo's, ``(photos, k)``, such as a mapped file.
        questions: Training questions, all with an answer of the vocabulary.
        answers: Length of the vocabulary.
        batch_size: Questions a step.
        seed: Of the draw.

    Returns:
        ``batch_at(step)``, as :func:`gradcam_jax.experiments.training.vqa.head_loss` takes it.
    """

    def batch_at(step: int) -> dict[str, np.ndarray]:
        rows = np.random.default_rng([seed, step]).integers(len(questions.photo), size=batch_size)
        targets = np.zeros((batch_size, answers), np.float32)
        targets[np.arange(batch_size), questions.answer[rows]] = 1
        return {
            "features": np.asarray(features[questions.photo[rows]]),
            "ids": questions.ids[rows],
            "length": questions.length[rows],
            "targets": targets,
        }

    return batch_at


def best_answers(
    model: VQA, params: Params, features: np.ndarray, questions: QuestionArrays, *, batch_size: int = 500
) -> np.ndarray:
    """Returns the index of the most probable answer to each question, ``(n,)``, in batches of one shape.

    Args:
        model: The model; its CNN is not run.
        params: The head's.
        features: Every photo's, ``(photos, k)``.
        questions: The questions.
        batch_size: Questions at once.
    """

    @jax.jit
    def best(params: Params, *batch: jax.Array) -> jax.Array:
        return jnp.argmax(jnp.asarray(model.apply({"params": params}, *batch, method="answer")), axis=-1)

    count, parts = len(questions.photo), []
    for start in range(0, count, batch_size):
        rows = np.arange(start, start + batch_size).clip(max=count - 1)
        batch = np.asarray(features[questions.photo[rows]]), questions.ids[rows], questions.length[rows]
        parts.append(np.asarray(best(params, *batch))[: count - start])
    return np.concatenate(parts)

"""A VQA head on a frozen CNN's features: its parameters to start from, its loss, its answers."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gradcam_jax.experiments.batches import in_batches
from gradcam_jax.experiments.data.question_sets import QuestionArrays
from gradcam_jax.experiments.training.located import location_loss
from gradcam_jax.experiments.training.vqa_examples import Examples
from gradcam_jax.models.vqa import VQA

Params = Any


def initial_params(model: VQA, key: jax.Array, features: int) -> Params:
    """Returns a head's parameters to start from, so that it reads the question from the first steps on.

    The model's initialisers, but word vectors of unit variance, which a table's fan-in would shrink, and a bias
    of 1 for the forget gates, so that the first words are still remembered after the last.

    References:
        Jozefowicz et al., An Empirical Exploration of Recurrent Network Architectures, ICML 2015.
    """
    params = _drawn(model, key, features)
    table = params["word_embedding"]["kernel"]
    params["word_embedding"]["kernel"] = jax.random.normal(jax.random.fold_in(key, 1), table.shape, table.dtype)
    for layer in ("lstm_1", "lstm_2"):
        gates = params[layer]["i2h"]["bias"]
        params[layer]["i2h"]["bias"] = gates.at[model.hidden : 2 * model.hidden].set(1.0)
    return params


def uniform_params(model: VQA, key: jax.Array, features: int) -> Params:
    """Returns a head's parameters, every one drawn uniformly from -0.08 to 0.08, the biases too.

    References:
        VT-vision-lab/VQA_LSTM_CNN, ``train.lua``.
    """
    return _drawn(model.clone(kernel_init=_uniform, bias_init=_uniform), key, features)


def _drawn(model: VQA, key: jax.Array, features: int) -> Params:
    arguments = jnp.zeros((1, features)), jnp.zeros((1, 2), jnp.int32), jnp.ones(1, jnp.int32)
    return jax.jit(functools.partial(model.init, method="answer"))(key, *arguments)["params"]


def _uniform(key: jax.Array, shape: Any, dtype: Any = jnp.float32, **_: Any) -> jax.Array:
    return jax.random.uniform(key, shape, dtype, -0.08, 0.08)


def head_loss(
    model: VQA, params: Params, batch: Mapping[str, jax.Array], key: jax.Array, *, location_weight: float = 0.0
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns the mean cross-entropy with the right answers, and the fraction of questions answered rightly.

    The batch is one of :class:`EpochsOfQuestions`. Located examples add how far their maps lie beside their
    objects, :func:`gradcam_jax.experiments.training.located.location_loss`, and the share of maps highest on them.
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
        beside, metrics["pointing"] = location_loss(model, params, batch, questions, jax.random.fold_in(key, 1))
        loss = loss + location_weight * beside
    return loss, metrics


def best_answers(
    model: VQA,
    params: Params,
    features: np.ndarray,
    questions: Examples | QuestionArrays,
    *,
    batch_size: int = 512,
) -> np.ndarray:
    """Returns the index of the most probable answer to each question, ``(n,)``; features are ``(images, k)``."""

    @jax.jit
    def best(params: Params, *batch: jax.Array) -> jax.Array:
        return jnp.argmax(jnp.asarray(model.apply({"params": params}, *batch, method="answer")), axis=-1)

    def answer(image: np.ndarray, ids: np.ndarray, length: np.ndarray) -> jax.Array:
        return best(params, np.asarray(features[image]), ids, length)

    return in_batches(answer, questions.image, questions.ids, questions.length, batch_size=batch_size)

r"""Teaches a VQA head where to look: the map of a right answer should lie on the object that it is about.

Boxes say where the objects of a training view are. With :math:`y^a` an answer's score, :math:`x` what the head
reads and :math:`x_p` what position p of the last convolution contributes to it, to first order, the class
activation map is :math:`L_p = x_p \cdot \partial y^a / \partial x`, and the term of the loss is

.. math:: -\log \sum_{p \in \mathrm{box}} \mathrm{softmax}(3 L / \lVert L \rVert)_p

with :math:`\lVert L \rVert` the map's root mean square, or the batch's mean of it if that is larger. The term so
depends on where a map is high, not on how steep the score is; dropout keeps the maps of training views from being
learnt by heart. The CNN is frozen, so :math:`x_p` is computed once, and the term costs little more than the head's
second pass.

References:
    Ross et al., Right for the Right Reasons, arXiv:1703.03717; Selvaraju et al., Taking a HINT, arXiv:1902.03751.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.evaluation.pointing import inside_boxes
from gradcam_jax.experiments.data.located_captions import LARGEST
from gradcam_jax.experiments.data.photos import Box
from gradcam_jax.experiments.data.questions import IS_THERE, YES, TemplateQuestion
from gradcam_jax.experiments.data.views import View
from gradcam_jax.experiments.data.words import CATEGORIES, category_of
from gradcam_jax.models.vqa import VQA
from gradcam_jax.text.vocabulary import Vocabulary

LOCATED = 64
"""Located examples of a batch, at most."""

_SHARPNESS = 3.0  # of the softmax over positions, whose logits have a mean square of its square
_FLAT = 1e-12  # mean square of a map below which it counts as flat
_OUTSIDE = -30.0  # a logarithm of nothing that has a gradient


def regions(question: TemplateQuestion, view: View) -> dict[str, list[Box]]:
    """Returns, for each right answer that is about objects on the view, where these are.

    "What animal?" is about every animal that it may be answered with, "Is there a dog?", if so, about the dogs.
    """
    if question.kind == IS_THERE:
        about = [item.box for item in view.objects if question.about in (item.word, category_of(item.word))]
        return {YES: about} if YES in question.answers else {}
    if question.kind not in [f"what {category}" for category in CATEGORIES]:
        return {}
    return {word: [item.box for item in view.objects if item.word == word] for word in question.answers}


class Locations:
    """What a batch's located examples are scored by: each position's contribution, and where the object is."""

    def __init__(self, views: Sequence[View], positions: Mapping[int, np.ndarray], answers: Vocabulary) -> None:
        """Takes the views, the positions ``(h * w, axes)`` of those that have any, by the view's index."""
        self._views, self._positions, self._answers = views, positions, answers
        self._shape = next(iter(positions.values())).shape

    def of(
        self, questions: Sequence[TemplateQuestion], rng: np.random.Generator, *, left_out: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Returns the located examples among a batch's, at most :data:`LOCATED`, padded with weight 0.

        Those that are ``left_out``, ``(questions,)`` bool, have features that are not their view's.
        ``row`` and ``answer``, ``(LOCATED,)`` int32: the example in the batch, and the answer explained, drawn
        from the right ones; ``positions``, ``(LOCATED, h * w, axes)``; ``inside``, ``(LOCATED, h * w)`` bool;
        ``weight``, ``(LOCATED,)``.
        """
        cells = self._shape[0]
        batch: dict[str, np.ndarray] = {
            "row": np.zeros(LOCATED, np.int32),
            "answer": np.zeros(LOCATED, np.int32),
            "positions": np.zeros((LOCATED, *self._shape), np.float32),
            "inside": np.ones((LOCATED, cells), bool),
            "weight": np.zeros(LOCATED, np.float32),
        }
        for place, (row, answer, inside) in enumerate(
            itertools.islice(self._located(questions, rng.permutation(np.flatnonzero(~left_out)), rng), LOCATED)
        ):
            batch["row"][place], batch["answer"][place], batch["weight"][place] = row, answer, 1
            batch["inside"][place] = inside
            batch["positions"][place] = self._positions[questions[row].view]
        return batch

    def _located(
        self, questions: Sequence[TemplateQuestion], rows: np.ndarray, rng: np.random.Generator
    ) -> Iterator[tuple[int, int, np.ndarray]]:
        for row in rows.tolist():
            if questions[row].view in self._positions:
                region = self._region(questions[row], rng)
                if region is not None:
                    yield row, *region

    def _region(self, question: TemplateQuestion, rng: np.random.Generator) -> tuple[int, np.ndarray] | None:
        """Returns one right answer and the cells of its objects, if they are some but not most of the map."""
        size = round(self._shape[0] ** 0.5)
        choices = []
        for answer, boxes in regions(question, self._views[question.view]).items():
            inside = inside_boxes(boxes, (size, size)).reshape(-1)
            if answer in self._answers and 0 < inside.mean() < LARGEST:
                choices.append((self._answers.index(answer), inside))
        return choices[rng.integers(len(choices))] if choices else None


def location_loss(
    model: VQA, params: Any, batch: Mapping[str, jax.Array], questions: jax.Array, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns how little of the right answers' maps lies on their objects, and how often the highest point does.

    ``batch`` holds the features and what :class:`Locations` returns, ``questions (examples, 4 * hidden)`` are the
    vectors of the batch's questions; the key draws what the head drops out.
    """
    questions, row = questions[batch["row"]], batch["row"]

    def score(features: jax.Array) -> jax.Array:
        arguments: Any = {"train": True, "method": "fuse", "rngs": {"dropout": key}}
        scores = jnp.asarray(model.apply({"params": params}, features, questions, **arguments))
        return jnp.sum(jnp.take_along_axis(scores, batch["answer"][:, jnp.newaxis], axis=-1))

    gradients = jax.grad(score)(batch["features"][row])
    maps = jnp.einsum("npk,nk->np", batch["positions"], gradients)
    return location_term(maps, batch["inside"], batch["weight"])


def location_term(maps: jax.Array, inside: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns how little of maps lies on their objects, and how often the highest point does: weighted means.

    Args:
        maps: Signed, ``(n, positions)``.
        inside: Whether a position is on the object, ``(n, positions)``.
        weight: ``(n,)``.
    """
    share = weight / jnp.maximum(jnp.sum(weight), 1.0)
    strengths = jnp.sqrt(jnp.mean(maps * maps, axis=-1) + _FLAT)
    least = jax.lax.stop_gradient(jnp.sum(share * strengths))  # a faint map is not blown up
    maps = maps * (_SHARPNESS / jnp.maximum(strengths, least))[:, jnp.newaxis]
    logarithms = jnp.where(inside, jax.nn.log_softmax(maps), _OUTSIDE)
    highest = jnp.take_along_axis(inside, jnp.argmax(maps, axis=-1)[:, jnp.newaxis], axis=-1)[:, 0]
    return -jnp.sum(share * jax.nn.logsumexp(logarithms, axis=-1)), jnp.sum(share * highest)

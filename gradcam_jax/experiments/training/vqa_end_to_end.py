"""Trains a VQA model with its CNN, on pictures that many questions are asked about.

The questions of easy-VQA are few texts about few pictures: a batch is pictures and pairs. The CNN sees a picture
once, whatever the number of its questions, and the LSTM reads a text once, whatever the number of its pictures.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gradcam_jax.experiments.batches import in_batches
from gradcam_jax.experiments.data.easy_vqa import YES_OR_NO, EasyQuestion, EasyVqa
from gradcam_jax.experiments.training.loop import shuffled, whole_batches
from gradcam_jax.experiments.training.vqa_head import initial_params
from gradcam_jax.images.preprocessing import Preprocessing, to_network
from gradcam_jax.models.vqa import VQA
from gradcam_jax.text.questions import encode_question
from gradcam_jax.text.vocabulary import Vocabulary

Params = Any


class Pairs(NamedTuple):
    """Questions as pairs of a picture and a text.

    Attributes:
        image: Index of each question's picture, ``(n,)`` int32.
        text: Index of each question's text, ``(n,)`` int32.
        answer: Index of each right answer, ``(n,)`` int32.
        open_ended: Whether the answer is another than yes or no, ``(n,)`` bool.
        ids: Word indices of every distinct text, ``(texts, time)`` int32.
        length: Number of words of each, ``(texts,)`` int32.
    """

    image: np.ndarray
    text: np.ndarray
    answer: np.ndarray
    open_ended: np.ndarray
    ids: np.ndarray
    length: np.ndarray


def pair_up(questions: Sequence[EasyQuestion], words: Vocabulary, answers: Vocabulary) -> Pairs:
    """Turns questions into pairs; every distinct text is encoded once, padded to the longest one."""
    places = {text: place for place, text in enumerate(dict.fromkeys(question.text for question in questions))}
    encoded = [encode_question(text, words) for text in places]
    length = np.array([question.length for question in encoded], np.int32)
    return Pairs(
        np.array([question.image for question in questions], np.int32),
        np.array([places[question.text] for question in questions], np.int32),
        np.array([answers.index(question.answer) for question in questions], np.int32),
        np.array([question.kind != YES_OR_NO for question in questions], bool),
        np.stack([question.ids for question in encoded])[:, : length.max()],
        length,
    )


class EpochsOfPictures:
    """The batch of every step of a run: all pictures once an epoch, in a new order, a function of the step.

    Half of what a picture is asked is open-ended. Three in four of easy-VQA's questions are answered by yes or no,
    and a model taught in that proportion long guesses them from their text alone, and learns no shape or colour.
    """

    def __init__(
        self, images: np.ndarray, pairs: Pairs, *, batch_size: int, questions_each: int, seed: int
    ) -> None:
        """Takes uint8 pictures and their questions; a batch asks so many of each of ``batch_size`` pictures."""
        self._images, self._pairs = images, pairs
        self._batch_size, self._questions_each, self._seed = batch_size, questions_each, seed
        self._open_ended, self._others = (
            _rows_of_images(np.flatnonzero(chosen), pairs.image, len(images))
            for chosen in (pairs.open_ended, ~pairs.open_ended)
        )
        self.steps = whole_batches(len(images), batch_size)

    def batch_at(self, step: int) -> dict[str, np.ndarray]:
        """Returns a step's batch: pictures, half of them mirrored, every text, and which goes with which.

        ``images`` is ``(b, H, W, 3)`` float32 in [0, 1]; ``text`` and ``answer`` are ``(b * n,)``, the n
        questions of one picture next to each other.
        """
        chosen, rng = shuffled(len(self._images), self._batch_size, self._seed, step)
        rows = np.concatenate([self._drawn(image, rng) for image in chosen])
        mirrored = (rng.random(len(chosen)) < 0.5)[:, np.newaxis, np.newaxis, np.newaxis]
        images = self._images[chosen]
        return {
            "images": np.where(mirrored, images[:, :, ::-1], images).astype(np.float32) / np.float32(255),
            "ids": self._pairs.ids,
            "length": self._pairs.length,
            "text": self._pairs.text[rows],
            "answer": self._pairs.answer[rows],
        }

    def _drawn(self, image: int, rng: np.random.Generator) -> np.ndarray:
        """Draws a picture's questions; where it has too few of a kind, some are asked twice."""
        kinds = [rng.permutation(rows[image]) for rows in (self._open_ended, self._others) if len(rows[image])]
        shares = np.array_split(np.arange(self._questions_each), len(kinds))
        return np.concatenate([np.resize(rows, len(share)) for rows, share in zip(kinds, shares, strict=True)])


def _rows_of_images(rows: np.ndarray, image: np.ndarray, count: int) -> list[np.ndarray]:
    ordered = rows[np.argsort(image[rows], kind="stable")]
    return np.split(ordered, np.searchsorted(image[ordered], np.arange(1, count)))


def initial_model_params(model: VQA, image: jax.Array, key: jax.Array) -> Params:
    """Returns a whole model's parameters to start from: the head's as for a frozen CNN, and the CNN's own."""
    cnn = jax.jit(model.cnn.init)(jax.random.fold_in(key, 0), image)["params"]
    # He et al., arXiv:1502.01852: a rectifier halves the second moment, which the kernels make up for.
    cnn = jax.tree.map(lambda leaf: leaf * 2**0.5 if leaf.ndim > 1 else leaf, cnn)
    features = jax.eval_shape(model.cnn.apply, {"params": cnn}, image).shape[-1]
    return {**initial_params(model, jax.random.fold_in(key, 1), features), "cnn": cnn}


def end_to_end_loss(
    model: VQA, preprocessing: Preprocessing, params: Params, batch: Mapping[str, jax.Array], key: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns the mean cross-entropy with the right answers, and the fraction of questions answered rightly."""

    def answer(model: VQA) -> jax.Array:
        features = model.features(to_network(batch["images"], preprocessing))
        texts = model.question(batch["ids"], batch["length"], train=True)
        repeated = jnp.repeat(features, batch["text"].shape[0] // features.shape[0], axis=0)
        return model.fuse(repeated, texts[batch["text"]], train=True)

    scores = jnp.asarray(model.apply({"params": params}, method=answer, rngs={"dropout": key}))
    right = (jnp.argmax(scores, axis=-1) == batch["answer"]).astype(jnp.float32)
    loss = jnp.mean(optax.softmax_cross_entropy_with_integer_labels(scores, batch["answer"]))
    return loss, {"accuracy": jnp.mean(right)}


def predictions(
    model: VQA,
    preprocessing: Preprocessing,
    params: Params,
    data: EasyVqa,
    *,
    words: Vocabulary,
    answers: Vocabulary,
    batch_size: int = 125,
) -> list[str]:
    """Returns the most probable answer to each question of a split."""
    pairs = pair_up(data.questions, words, answers)

    @functools.partial(jax.jit, static_argnames="method")
    def apply(params: Params, *arguments: jax.Array, method: str) -> jax.Array:
        return jnp.asarray(model.apply({"params": params}, *arguments, method=method))

    def features_of(images: np.ndarray) -> jax.Array:
        pixels = to_network(images.astype(np.float32) / np.float32(255), preprocessing)
        return apply(params, pixels, method="features")

    features = in_batches(features_of, data.images, batch_size=batch_size)
    texts = np.asarray(apply(params, pairs.ids, pairs.length, method="question"))
    scores = apply(params, features[pairs.image], texts[pairs.text], method="fuse")
    return [answers.entries[best] for best in np.argmax(np.asarray(scores), axis=-1)]

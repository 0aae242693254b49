"""Questions about views as the arrays that a VQA head is trained on, redrawn every epoch."""

import collections
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gradcam_jax.experiments.data.questions import (
    NO,
    NONE,
    YES,
    TemplateQuestion,
    all_phrasings,
    ask,
    askable_words,
)
from gradcam_jax.experiments.data.views import Part, View
from gradcam_jax.experiments.data.vqa_files import HumanQuestion
from gradcam_jax.experiments.training.located import Locations
from gradcam_jax.experiments.training.mixtures import mix
from gradcam_jax.text.questions import Question, encode_question, question_tokens
from gradcam_jax.text.vocabulary import Vocabulary, count_words

TOKENS = 12
"""Tokens of a training question: enough for every phrasing; padding changes nothing, so less is only faster."""

SAME_TEXT = 4
"""Examples of a batch that share a question's text, which is then read once: most of the cost of a step."""

HUMAN = "human"
"""The kind of a question that a person asked."""


class Examples(NamedTuple):
    """Questions as arrays.

    Attributes:
        image: Index of each question's view, ``(n,)`` int32.
        ids: Word indices, ``(n, TOKENS)`` int32.
        length: Number of words, ``(n,)`` int32.
        targets: How right each answer is, ``(n, answers)`` float32; rows sum to 1, or to 0 if no answer that is
            right is in the vocabulary.
    """

    image: np.ndarray
    ids: np.ndarray
    length: np.ndarray
    targets: np.ndarray
    questions: Sequence[TemplateQuestion]


def vocabularies(views: Sequence[View], human: Sequence[HumanQuestion]) -> tuple[Vocabulary, Vocabulary]:
    """Returns the words and answers of the bundled model, from its training views and people's questions alone.

    The objects' words are answers, and what people answered to two questions.
    """
    objects = sorted({item.word for view in views for item in view.objects})
    uses = collections.Counter(question.answer for question in human)
    often = sorted(answer for answer, count in uses.items() if count > 1)
    counts = [str(count) for count in range(1, 6)]
    answers = Vocabulary(dict.fromkeys([YES, NO, NONE, *counts, *objects, *often]))
    texts = [*all_phrasings(sorted({*askable_words(), *objects})), *(question.text for question in human)]
    return count_words(question_tokens(text) for text in texts), answers


def plain_views(views: Sequence[View]) -> dict[int, int]:
    """Returns, for every COCO photo that is shown whole and as it is, its number and its view's index."""
    return {
        int(view.parts[0].photo.key.removeprefix("coco/")): index
        for index, view in enumerate(views)
        if view.parts == (Part(view.parts[0].photo),) and view.parts[0].photo.key.startswith("coco/")
    }


def questions_of_photos(human: Sequence[HumanQuestion], views: Sequence[View]) -> list[HumanQuestion]:
    """Returns people's questions about the photos among these views."""
    images = plain_views(views)
    return [question for question in human if question.image_id in images]


def as_templates(human: Sequence[HumanQuestion], view_of_image: Mapping[int, int]) -> list[TemplateQuestion]:
    """Returns people's questions about photos that are among the views; each answer as often as it was given."""
    return [
        TemplateQuestion(view_of_image[question.image_id], question.text, question.answers, HUMAN)
        for question in human
        if question.image_id in view_of_image
    ]


def encode(
    questions: Sequence[TemplateQuestion], words: Vocabulary, answers: Vocabulary, tokens: int = TOKENS
) -> Examples:
    """Turns questions into arrays; a longer question loses its end."""
    size = len(questions)
    ids, length = np.zeros((size, tokens), np.int32), np.zeros(size, np.int32)
    targets = np.zeros((size, len(answers)), np.float32)
    for row, question in enumerate(questions):
        encoded = _encoded(question.text, words)
        ids[row], length[row] = encoded.ids[:tokens], min(encoded.length, tokens)
        for answer in question.answers:
            if answer in answers:
                targets[row, answers.index(answer)] += 1
    targets /= np.maximum(targets.sum(axis=1, keepdims=True), 1)
    return Examples(np.array([question.view for question in questions], np.int32), ids, length, targets, questions)


class EpochsOfQuestions:
    """The batch of every step of a run: questions drawn anew each epoch, a pure function of the step."""

    def __init__(
        self,
        views: Sequence[View],
        features: Callable[[int], np.ndarray],
        human: Sequence[TemplateQuestion],
        words: Vocabulary,
        answers: Vocabulary,
        *,
        batch_size: int,
        seed: int,
        locations: Locations | None = None,
        mixed: float = 0.0,
    ) -> None:
        """Takes the training views and how questions about them become batches.

        Args:
            views: The views.
            features: What the CNN says of each in an epoch, ``(views, k)`` float32.
            human: People's questions.
            words: Of the questions.
            answers: The answers.
            batch_size: Examples a step.
            seed: Of what is drawn.
            locations: What maps are scored by.
            mixed: The share of examples that become mixtures of two photos, of those that can.
        """
        self._views, self._features_of, self._human = views, features, human
        self._words, self._answers = words, answers
        self._batch_size, self._seed = batch_size, seed
        self._locations, self._mixed = locations, mixed
        self._drawn: tuple[int, Examples, np.ndarray, np.ndarray] | None = None
        self.steps = len(self._epoch(0)[1]) * SAME_TEXT // batch_size

    def batch_at(self, step: int) -> dict[str, np.ndarray]:
        """Returns a step's batch.

        Its rows come in runs of ``SAME_TEXT`` that share a question: ``features`` and ``targets`` have a row for
        each example, ``ids`` and ``length`` one for each run. What :class:`Locations` returns is added.
        """
        epoch, place = divmod(step, self.steps)
        examples, runs, features = self._epoch(epoch)
        rng = np.random.default_rng([self._seed, step])
        count = self._batch_size // SAME_TEXT
        chosen = np.take(runs, range(place * count, (place + 1) * count), axis=0, mode="wrap")
        rows = chosen.reshape(-1)
        questions = [examples.questions[row] for row in rows]
        mixtures = mix(
            features[examples.image[rows]],
            examples.targets[rows],
            [question.kind for question in questions],
            np.roll(np.arange(len(rows)).reshape(chosen.shape), -1, axis=1).reshape(-1),
            self._answers,
            rng=rng,
            share=self._mixed,
        )
        batch = {
            "features": mixtures.features,
            "ids": examples.ids[chosen[:, 0]],
            "length": examples.length[chosen[:, 0]],
            "targets": mixtures.targets,
        }
        if self._locations is None:
            return batch
        return batch | self._locations.of(questions, rng, left_out=mixtures.mixed)

    def _epoch(self, epoch: int) -> tuple[Examples, np.ndarray, np.ndarray]:
        """Returns an epoch's examples, its runs, ``(runs, SAME_TEXT)`` rows in random order, and its features."""
        if self._drawn is None or self._drawn[0] != epoch:
            rng = np.random.default_rng([self._seed, epoch])
            examples = encode([*ask(self._views, rng), *self._human], self._words, self._answers)
            runs = rng.permutation(_runs(examples.questions, rng))
            self._drawn = epoch, examples, runs, self._features_of(epoch)
        return self._drawn[1:]


def _runs(questions: Sequence[TemplateQuestion], rng: np.random.Generator) -> np.ndarray:
    """Groups rows by text; a text's last run is filled up with rows of the same text."""
    by_text: dict[str, list[int]] = {}
    for row in rng.permutation(len(questions)).tolist():
        by_text.setdefault(questions[row].text, []).append(row)
    runs = [np.resize(rows, (-(-len(rows) // SAME_TEXT), SAME_TEXT)) for rows in by_text.values()]
    return np.concatenate(runs)


@functools.lru_cache(maxsize=8192)
def _encoded(text: str, words: Vocabulary) -> Question:
    return encode_question(text, words)

"""The model for easy-VQA, trained end to end: the CNN, the LSTM and what joins them, from random weights."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gradcam_jax import zoo
from gradcam_jax.experiments.data.easy_vqa import read_easy_vqa, split_off
from gradcam_jax.experiments.metrics.answers import accuracy_by_kind
from gradcam_jax.experiments.reporting import Progress, Say
from gradcam_jax.experiments.training.optimizers import modern
from gradcam_jax.experiments.training.program import Configuration, Experiment, Options, blank_card
from gradcam_jax.experiments.training.vqa_end_to_end import (
    EpochsOfPictures,
    end_to_end_loss,
    initial_model_params,
    pair_up,
    predictions,
)
from gradcam_jax.text.questions import question_tokens
from gradcam_jax.text.vocabulary import Vocabulary, count_words

MODEL = "vqa_easy"
"""The model's name in the zoo."""

_ENTRY = zoo.find(MODEL)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EndToEndVqa(Configuration):
    """A whole model on the official training pictures, the last ones kept for validation.

    Attributes:
        validation: Number of training pictures kept for validation.
        batch_size: Pictures a step.
        questions_each: Questions about each of them.
        learning_rate: At its highest.
        dropout: Fraction dropped at each of the model's five places.
    """

    work: str = "output/train_easy_vqa"
    checkpoint: str = "output/vqa_easy.safetensors"
    epochs: int = 14
    validation: int = 400
    batch_size: int = 50
    questions_each: int = 8
    learning_rate: float = 3e-3
    dropout: float = 0.0

    def prepare(self, options: Options, say: Say, progress: Progress) -> Experiment:
        """Reads easy-VQA's package; see :meth:`Configuration.prepare`."""
        del say, progress
        training, validation = split_off(read_easy_vqa("train"), self.validation)
        words = count_words(question_tokens(question.text) for question in training.questions)
        answers = Vocabulary(training.answers)
        model = _ENTRY.build(words=len(words), answers=len(answers), dropout=self.dropout)
        epochs = EpochsOfPictures(
            training.images,
            pair_up(training.questions, words, answers),
            batch_size=self.batch_size,
            questions_each=self.questions_each,
            seed=options.seed,
        )

        def evaluate(params: Any) -> Mapping[str, float]:
            best = predictions(model, _ENTRY.preprocessing, params, validation, words=words, answers=answers)
            right = [
                answer == question.answer for answer, question in zip(best, validation.questions, strict=True)
            ]
            return accuracy_by_kind([question.kind for question in validation.questions], right)

        image = jnp.zeros((_ENTRY.size, _ENTRY.size, 3))
        return Experiment(
            params=initial_model_params(model, image, jax.random.key(options.seed)),
            loss=functools.partial(end_to_end_loss, model, _ENTRY.preprocessing),
            batch_at=epochs.batch_at,
            epoch=epochs.steps,
            optimizer=functools.partial(modern, self.learning_rate),
            card=blank_card(_ENTRY, labels=answers.entries, words=words.entries),
            facts={"trained_by": _ENTRY.trained_by, "pictures": len(training.images)},
            evaluate=evaluate,
        )


MODERN = EndToEndVqa(preset="modern")
"""AdamW with a cosine decay: the bundled model's."""

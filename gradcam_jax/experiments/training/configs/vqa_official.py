"""A VQA model on the official VQA files (v1 or v2) and COCO's photos, trained as the original was, or modernly."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from gradcam_jax import zoo
from gradcam_jax.errors import InputError, lookup
from gradcam_jax.experiments.data.faults import Faults
from gradcam_jax.experiments.data.question_sets import (
    QuestionArrays,
    QuestionSet,
    encode_question_set,
    read_question_set,
    trainable,
    with_whole_photos,
)
from gradcam_jax.experiments.metrics.answers import official_scores
from gradcam_jax.experiments.reporting import Progress, Say
from gradcam_jax.experiments.training.frozen_features import photo_features
from gradcam_jax.experiments.training.optimizers import modern, published_vqa
from gradcam_jax.experiments.training.program import WHOLE_PHOTOS, Configuration, Experiment, Options, blank_card
from gradcam_jax.experiments.training.vqa_head import best_answers, head_loss, initial_params, uniform_params
from gradcam_jax.models.vqa import VQA
from gradcam_jax.text.vocabulary import Vocabulary

MODELS = {name: entry for name, entry in zoo.MODELS.items() if entry.task == "vqa" and entry.cnn is not None}
"""The zoo's VQA models whose CNN has a classifier's weights, and stays frozen."""

_LICENCE = "trained on photos and questions under their own terms (COCO and VQA: Creative Commons)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfficialVqa(Configuration):
    """A head on a frozen CNN; questions are drawn with replacement.

    Attributes:
        model: A name of :data:`MODELS`.
        optimizer: From the number of steps to an optimiser.
        start: The head's parameters to start from: of a model, a key and the length of the features.
        keep_best: Whether the parameters with the best accuracy are kept, or those of the last step.
        batch_size: Questions a step.
        answers: How many answers are kept, the most frequent ones.
        dropout: Fraction dropped at each of the model's five places.
    """

    work: str = "output/train_official_vqa"
    checkpoint: str = "output/train_official_vqa/vqa.safetensors"
    every: int = 5000
    model: str = "vqa_vgg19"
    optimizer: Callable[[int], optax.GradientTransformation]
    start: Callable[[VQA, jax.Array, int], Any]
    keep_best: bool
    batch_size: int = 500
    answers: int = 1000
    dropout: float = 0.5

    def prepare(self, options: Options, say: Say, progress: Progress) -> Experiment:
        """Reads the files and computes the CNN's features of the photos; see :meth:`Configuration.prepare`."""
        entry = lookup(MODELS, self.model, "model")
        if options.val_questions and not options.val_annotations:
            raise InputError("Expected validation questions with answers; name the files of annotations too.")
        everything, validation = _read(options, say, progress)
        training, words, answers = trainable(everything, self.answers)
        say(
            f"{len(training.photos)} photos; {len(training.questions)} of {len(everything.questions)} questions "
            f"have one of the {len(answers)} most frequent answers; {len(words)} words"
        )
        model = entry.build(words=len(words), answers=len(answers), dropout=self.dropout)
        features = photo_features(self.model, training.photos, Path(options.work), progress)
        encoded = encode_question_set(training, words, answers)
        numbers = "\n".join(str(question.question_id) for question in training.questions)
        evaluate = None
        if validation is not None:
            evaluate = self._evaluation(options, validation, model, words, answers, progress)
        return Experiment(
            params=self.start(model, jax.random.key(options.seed), features.shape[-1]),
            loss=functools.partial(head_loss, model),
            batch_at=drawn_batches(features, encoded, len(answers), batch_size=self.batch_size, seed=options.seed),
            epoch=-(-len(training.questions) // self.batch_size),
            optimizer=self.optimizer,
            card=blank_card(entry, labels=answers.entries, words=words.entries)._replace(licence=_LICENCE),
            facts={
                "trained_by": f"python scripts/train.py --task vqa --model {self.model} --questions FILE "
                f"--annotations FILE --images DIR --preset {self.preset}",
                "questions": [Path(file).name for file in options.questions],
                "questions_sha256": hashlib.sha256(numbers.encode()).hexdigest(),
                "photos": len(training.photos),
                "kept_questions": len(training.questions),
            },
            variables=lambda params: zoo.with_cnn(params, str(entry.cnn)),
            evaluate=evaluate,
            monitor="official" if evaluate is not None and self.keep_best else None,
        )

    def _evaluation(
        self,
        options: Options,
        validation: QuestionSet,
        model: VQA,
        words: Vocabulary,
        answers: Vocabulary,
        progress: Progress,
    ) -> Callable[[Any], Mapping[str, float]]:
        """Returns the accuracies on the validation questions, all of them: also those that no answer fits."""
        features = photo_features(self.model, validation.photos, Path(options.work), progress)
        encoded = encode_question_set(validation, words, answers)
        people = [question.answers for question in validation.questions]
        answer_types = [question.answer_type for question in validation.questions]
        question_types = [question.question_type for question in validation.questions]

        def evaluate(params: Any) -> Mapping[str, float]:
            best = [answers.entries[index] for index in best_answers(model, params, features, encoded)]
            scores = official_scores(best, people, answer_types, question_types)
            return {name: scores[name]["all"] for name in ("official", "vqa_accuracy")}

        return evaluate


def _read(options: Options, say: Say, progress: Progress) -> tuple[QuestionSet, QuestionSet | None]:
    """Returns the questions to train with and to validate on, those of whole photos; None without validation."""
    faults, memory = Faults(skip=options.skip_bad, say=say), Path(options.work) / WHOLE_PHOTOS
    files = [(options.questions, options.annotations, options.images)]
    if options.val_questions:
        files.append((options.val_questions, options.val_annotations, options.val_images))
    sets = [with_whole_photos(read_question_set(*three, faults), faults, progress, memory) for three in files]
    faults.settle()
    return sets[0], sets[1] if len(sets) > 1 else None


PUBLISHED = OfficialVqa(
    preset="published",
    steps=150_000,
    optimizer=lambda _steps: published_vqa(),
    start=uniform_params,
    keep_best=False,
)
"""The original's: RMSprop with a decaying rate, from a uniform start, the last parameters kept."""

MODERN = OfficialVqa(
    preset="modern",
    steps=30_000,
    optimizer=functools.partial(modern, 1e-3),
    start=initial_params,
    keep_best=True,
)
"""AdamW with a cosine decay, the parameters that validated best kept. Not tuned on the official data."""


def drawn_batches(
    features: np.ndarray, questions: QuestionArrays, answers: int, *, batch_size: int, seed: int
) -> Callable[[int], dict[str, np.ndarray]]:
    """Returns the batch of every step, as ``head_loss`` takes it: questions drawn with replacement."""

    def batch_at(step: int) -> dict[str, np.ndarray]:
        rows = np.random.default_rng([seed, step]).integers(len(questions.image), size=batch_size)
        targets = np.zeros((batch_size, answers), np.float32)
        targets[np.arange(batch_size), questions.answer[rows]] = 1
        return {
            "features": np.asarray(features[questions.image[rows]]),
            "ids": questions.ids[rows],
            "length": questions.length[rows],
            "targets": targets,
        }

    return batch_at

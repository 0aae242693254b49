"""Trains the model for easy-VQA end to end: the CNN, the LSTM and what joins them, from random weights."""

import dataclasses
import functools
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.evaluation.answers import accuracy_by_kind
from gradcam_jax.experiments.data.easy_vqa import EasyQuestion, EasyVqa, read_easy_vqa
from gradcam_jax.experiments.training.loop import train
from gradcam_jax.experiments.training.optimizers import modern
from gradcam_jax.experiments.training.vqa_end_to_end import (
    EpochsOfPictures,
    end_to_end_loss,
    initial_model_params,
    pair_up,
    predict_pairs,
)
from gradcam_jax.experiments.training.vqa_features import Progress
from gradcam_jax.models.vqa import VQA
from gradcam_jax.text.questions import question_tokens
from gradcam_jax.text.vocabulary import Vocabulary, count_words
from gradcam_jax.zoo.checkpoint import Card, count_parameters, write_checkpoint
from gradcam_jax.zoo.question_models import QUESTION_MODELS

MODEL = "vqa_easy"
"""The model's name among :data:`gradcam_jax.zoo.question_models.QUESTION_MODELS`."""

_ENTRY = QUESTION_MODELS[MODEL]
_VALIDATION = 400  # of the official training pictures, the last ones
_ELSEWHERE = ("output", "run_folder")  # where things lie does not change a run


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asked for; the names are the command line's.

    Attributes:
        output: The checkpoint that is written.
        run_folder: Where snapshots and the history go; a second run goes on from there.
        epochs: Times that every picture is seen.
        batch_size: Pictures a step.
        asked: Questions about each of them.
        learning_rate: At its highest.
        dropout: Fraction dropped at each of the model's five places.
        seed: Decides everything that is drawn.
    """

    output: str = "checkpoints/vqa_easy.safetensors"
    run_folder: str = "output/train_easy_vqa"
    epochs: int = 14
    batch_size: int = 50
    asked: int = 8
    learning_rate: float = 3e-3
    dropout: float = 0.0
    seed: int = 123


def run(
    options: Options, say: Callable[[str], None] = lambda _: None, progress: Progress = lambda *_: None
) -> Path:
    """Trains on the official training pictures, the last 400 kept for validation, and writes the checkpoint.

    Args:
        options: What the user asked for.
        say: Takes each line of the report.
        progress: Called while something long is done: its name, how much is done, and of how much.

    Returns:
        The checkpoint.

    Raises:
        InputError: If easy-VQA is not installed, or the run's folder holds a run of other settings.
    """
    started = time.monotonic()
    trained_on, validation = split_off(read_easy_vqa("train"), _VALIDATION)
    words = count_words(question_tokens(question.text) for question in trained_on.questions)
    answers = Vocabulary(trained_on.answers)
    model = _ENTRY.build(len(words), len(answers), dropout=options.dropout)
    pairs = pair_up(trained_on.questions, words, answers)
    epochs = EpochsOfPictures(
        trained_on.images, pairs, batch_size=options.batch_size, asked=options.asked, seed=options.seed
    )
    steps = options.epochs * epochs.steps

    def batch_at(step: int) -> dict[str, np.ndarray]:
        progress("training", step, steps)
        return epochs.batch_at(step)

    def report(step: int, numbers: Mapping[str, float]) -> None:
        say(f"step {step}: " + ", ".join(f"{name} {number:.3f}" for name, number in numbers.items()))

    def check(params: Any) -> dict[str, float]:
        return scores(model, params, validation, words, answers)

    state = train(
        functools.partial(end_to_end_loss, model, _ENTRY.recipe),
        initial_model_params(model, jnp.zeros((_ENTRY.size, _ENTRY.size, 3)), jax.random.key(options.seed)),
        batch_at,
        modern(options.learning_rate, steps),
        steps,
        key=jax.random.key(options.seed + 1),
        evaluate=check,
        every=epochs.steps,
        folder=Path(options.run_folder),
        settings={key: value for key, value in dataclasses.asdict(options).items() if key not in _ELSEWHERE},
        report=report,
    )
    params = jax.device_get(state.params)
    card = Card(
        model=MODEL,
        recipe=_ENTRY.recipe.name,
        licence="BSD-3-Clause; trained on easy-VQA (MIT)",
        parameters=count_parameters({"params": params}),
        labels=answers.entries,
        words=words.entries,
        notes=_notes(options, check(params), time.monotonic() - started),
    )
    write_checkpoint(options.output, {"params": params}, card)
    return Path(options.output)


def split_off(data: EasyVqa, count: int) -> tuple[EasyVqa, EasyVqa]:
    """Splits off the last pictures with their questions; those of the second part are numbered anew."""
    first = len(data.images) - count
    kept = tuple(question for question in data.questions if question.image < first)
    last = tuple(
        question._replace(image=question.image - first) for question in data.questions if question.image >= first
    )
    return (
        data._replace(images=data.images[:first], questions=kept),
        data._replace(images=data.images[first:], questions=last),
    )


def scores(model: VQA, params: Any, data: EasyVqa, words: Vocabulary, answers: Vocabulary) -> dict[str, float]:
    """Returns the fraction of questions answered rightly, of all and by kind."""
    return accuracy_by_kind(*_rights(data.questions, predictions(model, params, data, words, answers)))


def predictions(model: VQA, params: Any, data: EasyVqa, words: Vocabulary, answers: Vocabulary) -> list[str]:
    """Returns the most probable answer to each question."""
    best = predict_pairs(model, _ENTRY.recipe, params, data.images, pair_up(data.questions, words, answers))
    return [answers.entries[index] for index in best]


def _rights(questions: tuple[EasyQuestion, ...], given: list[str]) -> tuple[list[str], list[bool]]:
    rights = [answer == question.answer for answer, question in zip(given, questions, strict=True)]
    return [question.kind for question in questions], rights


def _notes(options: Options, validation: Mapping[str, float], seconds: float) -> str:
    recipe = {key: value for key, value in dataclasses.asdict(options).items() if key not in _ELSEWHERE}
    notes = {
        "trained_by": "python scripts/train.py --task vqa --dataset easy_vqa",
        "recipe": recipe,
        "seconds": round(seconds),
        "validation": {kind: round(score, 4) for kind, score in validation.items()},
    }
    return json.dumps(notes)

"""Trains a VQA model on the official VQA files (v1 or v2) and COCO's photos, as the original was trained."""

import dataclasses
import functools
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.errors import InputError, nearest
from gradcam_jax.evaluation.official_vqa import official_scores
from gradcam_jax.experiments.data.feature_file import feature_file
from gradcam_jax.experiments.data.question_sets import (
    QuestionSet,
    encode_question_set,
    read_question_set,
    trainable,
)
from gradcam_jax.experiments.training.loop import TrainingState, train
from gradcam_jax.experiments.training.vqa import head_loss
from gradcam_jax.experiments.training.vqa_features import Progress
from gradcam_jax.experiments.training.vqa_official import PRESETS, PUBLISHED, Preset, best_answers, drawn_batches
from gradcam_jax.images.photos import read_photo
from gradcam_jax.images.preprocessing import to_network
from gradcam_jax.models.vqa import VQA
from gradcam_jax.text.vocabulary import Vocabulary
from gradcam_jax.zoo import classifiers as zoo
from gradcam_jax.zoo.checkpoint import Card, count_parameters, write_checkpoint
from gradcam_jax.zoo.heads import with_cnn
from gradcam_jax.zoo.question_models import QUESTION_MODELS

CNNS = {"vqa_vgg19": "vgg19", "vqa_lite0": "efficientnet_lite0"}
"""VQA model -> the zoo's classifier whose weights its frozen CNN has."""

_LICENCE = "trained on photos and questions under their own terms (COCO and VQA: Creative Commons)"


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asked for; the names are the command line's.

    Attributes:
        questions: Files of training questions.
        annotations: Their answers, one file each.
        images: Their photos, one folder each.
        val_questions: Files of questions to validate on, or none.
        val_annotations: Their answers.
        val_images: Their photos.
        model: ``"vqa_vgg19"`` or ``"vqa_lite0"``.
        preset: A name of :data:`gradcam_jax.experiments.training.vqa_official.PRESETS`.
        steps: Steps of the run, or 0 for the preset's.
        every: Steps between evaluations and snapshots.
        seed: Decides everything that is drawn.
        run_folder: Where features, snapshots and the history go; a second run goes on from there.
        output: The checkpoint that is written.
    """

    questions: Sequence[str]
    annotations: Sequence[str]
    images: Sequence[str]
    val_questions: Sequence[str] = ()
    val_annotations: Sequence[str] = ()
    val_images: Sequence[str] = ()
    model: str = "vqa_vgg19"
    preset: str = PUBLISHED.name
    steps: int = 0
    every: int = 5000
    seed: int = 123
    run_folder: str = "output/train_official_vqa"
    output: str = "output/train_official_vqa/vqa.safetensors"


def run(
    options: Options, say: Callable[[str], None] = lambda _: None, progress: Progress = lambda *_: None
) -> Path:
    """Trains a head and writes the checkpoint.

    Args:
        options: What the user asked for.
        say: Takes each line of the report.
        progress: Called while something long is done: its name, how much is done, and of how much.

    Returns:
        The checkpoint.

    Raises:
        InputError: If the data or the options cannot be used.
    """
    started = time.monotonic()
    preset = _preset(options)
    every_question = read_question_set(options.questions, options.annotations, options.images)
    asked, words, answers = trainable(every_question, preset.answers)
    say(
        f"{len(asked.photos)} photos; {len(asked.questions)} of {len(every_question.questions)} questions have "
        f"one of the {len(answers)} most frequent answers; {len(words)} words"
    )
    model = QUESTION_MODELS[options.model].build(len(words), len(answers), dropout=preset.dropout)
    features = photo_features(options.model, asked.photos, Path(options.run_folder), progress)
    state = _train(options, preset, model, features, asked, words, answers, say, progress)
    params = jax.device_get(state.best_params)

    variables = with_cnn(params, CNNS[options.model]) if _holds_everything(options.model) else {"params": params}
    card = Card(
        model=options.model,
        recipe=QUESTION_MODELS[options.model].recipe.name,
        licence=_LICENCE,
        parameters=count_parameters(variables),
        labels=answers.entries,
        words=words.entries,
        notes=_notes(options, preset, asked, float(state.best_score), time.monotonic() - started),
    )
    write_checkpoint(options.output, variables, card)
    return Path(options.output)


def photo_features(model: str, photos: Sequence[Path], folder: Path, progress: Progress) -> np.ndarray:
    """Returns the frozen CNN's features of photos, ``(photos, k)``, from a mapped file in the folder.

    A run that is stopped here goes on where it stopped.

    Args:
        model: A VQA model of :data:`CNNS`.
        photos: Their files.
        folder: Where the file of features lies.
        progress: Called with the numbers of photos done and to be done.

    Raises:
        InputError: If a photo cannot be read, or the CNN's weights are not here.
    """
    recipe, entry = QUESTION_MODELS[model].recipe, zoo.find_entry(CNNS[model])
    head = QUESTION_MODELS[model].build(1, 1)
    variables = jax.device_put(with_cnn({}, CNNS[model]))

    def encode(images: jax.Array) -> jax.Array:
        return jnp.asarray(head.apply(variables, to_network(images, recipe), method="features"))

    def image_at(index: int) -> np.ndarray:
        return recipe.resize(read_photo(photos[index]), recipe.size).image

    names = hashlib.sha256("\n".join(photo.name for photo in photos).encode()).hexdigest()
    return feature_file(
        folder,
        {"cnn": entry.name, "recipe": recipe.name, "size": recipe.size, "photos": names},
        encode,
        image_at,
        len(photos),
        report=lambda done: progress("features", done, len(photos)),
    )


def _preset(options: Options) -> Preset:
    for asked, known, kind in ((options.preset, PRESETS, "preset"), (options.model, CNNS, "model")):
        if asked not in known:
            near = ", ".join(nearest(asked, known) or list(known))
            raise InputError(f"There is no {kind} {asked!r} to train on official VQA files. Nearest: {near}.")
    preset = PRESETS[options.preset]
    return preset._replace(steps=options.steps) if options.steps else preset


def _train(
    options: Options,
    preset: Preset,
    model: VQA,
    features: np.ndarray,
    asked: QuestionSet,
    words: Vocabulary,
    answers: Vocabulary,
    say: Callable[[str], None],
    progress: Progress,
) -> TrainingState:
    batch_at = drawn_batches(
        features,
        encode_question_set(asked, words, answers),
        len(answers),
        batch_size=preset.batch_size,
        seed=options.seed,
    )

    def shown_batch(step: int) -> dict[str, np.ndarray]:
        progress("training", step, preset.steps)
        return batch_at(step)

    def report(step: int, numbers: Mapping[str, float]) -> None:
        say(f"step {step}: " + ", ".join(f"{name} {number:.4f}" for name, number in numbers.items()))

    evaluate = _checker(options, model, words, answers, progress) if options.val_questions else None
    return train(
        functools.partial(head_loss, model),
        preset.start(model, jax.random.key(options.seed), features.shape[-1]),
        shown_batch,
        preset.optimizer(preset.steps),
        preset.steps,
        key=jax.random.key(options.seed + 1),
        evaluate=evaluate,
        monitor="official" if evaluate and preset.keep_best else None,
        every=options.every,
        folder=Path(options.run_folder),
        settings={
            "model": options.model,
            "preset": preset.name,
            "seed": options.seed,
            "words": _digest(words.entries),
            "answers": _digest(answers.entries),
            "questions": _digest(str(question.question_id) for question in asked.questions),
        },
        report=report,
    )


def _checker(
    options: Options, model: VQA, words: Vocabulary, answers: Vocabulary, progress: Progress
) -> Callable[[Any], dict[str, float]]:
    """Returns the accuracies on the validation questions, all of them: also those that no answer fits."""
    if not options.val_annotations:
        raise InputError("Expected validation questions with answers; name the files of annotations too.")
    asked = read_question_set(options.val_questions, options.val_annotations, options.val_images)
    features = photo_features(options.model, asked.photos, Path(options.run_folder), progress)
    encoded = encode_question_set(asked, words, answers)

    def check(params: Any) -> dict[str, float]:
        best = [answers.entries[index] for index in best_answers(model, params, features, encoded)]
        scores = official_scores(best, asked.questions)
        return {"official": scores["official"]["all"], "vqa_accuracy": scores["vqa_accuracy"]["all"]}

    return check


def _holds_everything(model: str) -> bool:
    return QUESTION_MODELS[model].cnn is None


def _digest(texts: Any) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def _notes(options: Options, preset: Preset, asked: QuestionSet, best_score: float, seconds: float) -> str:
    notes: dict[str, Any] = {
        "trained_by": f"python scripts/train.py --task vqa --model {options.model} --questions FILE "
        f"--annotations FILE --images DIR --preset {preset.name}",
        "questions": [Path(file).name for file in options.questions],
        "photos": len(asked.photos),
        "kept_questions": len(asked.questions),
        "steps": preset.steps,
        "seed": options.seed,
        "seconds": round(seconds),
    }
    if np.isfinite(best_score):
        notes["validation_official"] = round(best_score, 4)
    return json.dumps(notes)

"""Trains the bundled VQA model: questions made from a folder of photos, a frozen CNN, a small head."""

import dataclasses
import functools
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.evaluation.answers import accuracy_by_kind
from gradcam_jax.experiments.data.photos import read_photos
from gradcam_jax.experiments.data.questions import TemplateQuestion, ask
from gradcam_jax.experiments.data.views import View
from gradcam_jax.experiments.data.vqa_files import HumanQuestion, read_vqa
from gradcam_jax.experiments.training.located import Locations
from gradcam_jax.experiments.training.loop import TrainingState, train
from gradcam_jax.experiments.training.optimizers import modern, published_vqa
from gradcam_jax.experiments.training.transplants import transplant, transplanted_views
from gradcam_jax.experiments.training.vqa import Whitening, fold, head_loss, initial_params, predict, whitening
from gradcam_jax.experiments.training.vqa_examples import EpochsOfQuestions, as_templates, encode, vocabularies
from gradcam_jax.experiments.training.vqa_features import (
    CNN,
    Progress,
    ViewFeatures,
    located_positions,
    split_views,
    view_features,
)
from gradcam_jax.models.vqa import VQA, vqa_lite0
from gradcam_jax.text.vocabulary import Vocabulary
from gradcam_jax.zoo import classifiers as zoo
from gradcam_jax.zoo.checkpoint import Card, count_parameters, write_checkpoint
from gradcam_jax.zoo.question_models import DEFAULT, QUESTION_MODELS

_LICENCE = "trained on photos under their own terms (COCO: Creative Commons; ImageNet: research)"
SIZE = QUESTION_MODELS[DEFAULT].size
"""Side of the views, in pixels: as large as the photos that are explained."""

_TRANSPLANTS = 15  # of every ILSVRC class that has a word
_HUMAN_SETS = (("vqa_questions.json", "vqa_annotations.json"),)


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asked for; the names are the command line's.

    Attributes:
        data: A folder with photo sets: each subfolder with an ``instances.json`` (COCO) or a ``labels.csv``.
        output: The checkpoint that is written.
        run_folder: Where cached features, snapshots and the history go; a second run goes on from there.
        preset: ``"modern"`` (AdamW, cosine) or ``"published"`` (the original's RMSprop).
        epochs: Times that every view is asked about, each time anew.
        batch_size: Questions a step.
        learning_rate: At its highest.
        dropout: Fraction dropped at each of the model's five places.
        weight_decay: Of the modern preset.
        location_weight: How much it counts that the map of a right answer lies on its thing; 0 leaves it out.
        seed: Decides everything that is drawn.
    """

    data: str
    output: str = "checkpoints/vqa_lite0.safetensors"
    run_folder: str = "output/train_vqa"
    preset: str = "modern"
    epochs: int = 14
    batch_size: int = 512
    learning_rate: float = 3e-3
    dropout: float = 0.25
    weight_decay: float = 0.05
    location_weight: float = 0.5
    seed: int = 123


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
    if options.preset not in ("modern", "published"):
        raise InputError(f"Expected --preset modern or published, got {options.preset!r} instead.")
    photos, cache = read_photos(options.data), Path(options.run_folder)
    seen = {
        split: view_features(split_views(photos, split), SIZE, cache / f"{split}_{SIZE}.safetensors", progress)
        for split in ("train", "validation")
    }
    say(f"{len(photos)} photos, {len(seen['train'].views)} training views")

    whiten = whitening(seen["train"].features, _classifier())
    epochs, words, answers = _epochs(options, seen["train"], whiten, progress)
    features = whiten(seen["validation"].features)
    model = vqa_lite0(len(words), len(answers), dropout=options.dropout)
    say(f"{len(words)} words, {len(answers)} answers, {epochs.steps} steps an epoch")
    check = ask(seen["validation"].views, np.random.default_rng(options.seed))
    evaluate = _checker(model, features, check, words, answers)
    state = _train(options, model, epochs, evaluate, progress)

    validation = evaluate(state.best_params)
    say("validation: " + ", ".join(f"{kind} {score:.3f}" for kind, score in validation.items()))
    params = fold(state.best_params, whiten)
    card = Card(
        model=DEFAULT,
        recipe=QUESTION_MODELS[DEFAULT].recipe.name,
        licence=_LICENCE,
        parameters=count_parameters({"params": params}),
        labels=answers.entries,
        words=words.entries,
        notes=_notes(options, seen["train"], validation, time.monotonic() - started),
    )
    write_checkpoint(options.output, {"params": params}, card)
    return Path(options.output)


def read_human_questions(data: str) -> list[HumanQuestion]:
    """Returns people's questions from the official files in any subfolder of the data, or none."""
    found: list[HumanQuestion] = []
    for folder in sorted(path for path in Path(data).glob("*") if path.is_dir()):
        for questions, annotations in _HUMAN_SETS:
            if (folder / questions).is_file():
                found += read_vqa(folder / questions, folder / annotations)
    return found


def plain_views(views: Sequence[View]) -> dict[int, int]:
    """Returns, for every COCO photo that is shown whole and as it is, its number and its view's index."""
    return {
        int(view.parts[0].photo.key.removeprefix("coco/")): index
        for index, view in enumerate(views)
        if len(view.parts) == 1
        and view.parts[0].photo.key.startswith("coco/")
        and not view.parts[0].mirrored
        and view.parts[0].crop == (0, 0, 1, 1)
    }


def questions_of_photos(human: Sequence[HumanQuestion], views: Sequence[View]) -> list[HumanQuestion]:
    """Returns people's questions about the photos among these views."""
    images = plain_views(views)
    return [question for question in human if question.image_id in images]


def _epochs(
    options: Options, seen: ViewFeatures, whiten: Whitening, progress: Progress
) -> tuple[EpochsOfQuestions, Vocabulary, Vocabulary]:
    """Returns what is asked in training, with the words and the answers."""
    borrowed = transplanted_views(_TRANSPLANTS)
    rng = np.random.default_rng(options.seed)
    moved = transplant(seen.views, seen.features, borrowed, _classifier(), rng)
    views = [*seen.views, *borrowed]
    human = questions_of_photos(read_human_questions(options.data), seen.views)
    words, answers = vocabularies(views, human)
    locations = None
    if options.location_weight:
        cache = Path(options.run_folder) / f"located_{SIZE}.safetensors"
        positions = located_positions(seen.views, SIZE, whiten, cache, progress)
        locations = Locations(views, positions, answers) if positions else None
    epochs = EpochsOfQuestions(
        views,
        np.concatenate([whiten(seen.features), whiten(moved)]),
        as_templates(human, plain_views(seen.views)),
        words,
        answers,
        batch_size=options.batch_size,
        seed=options.seed,
        locations=locations,
    )
    return epochs, words, answers


def _classifier() -> np.ndarray:
    return np.asarray(zoo.load_variables(zoo.find_entry(CNN))["params"]["classifier"]["kernel"])


def _checker(
    model: VQA, features: np.ndarray, questions: Sequence[TemplateQuestion], words: Vocabulary, answers: Vocabulary
) -> Callable[[Any], dict[str, float]]:
    examples = encode(questions, words, answers)
    kinds = [question.kind for question in questions]

    def check(params: Any) -> dict[str, float]:
        best = predict(model, params, features, examples).argmax(axis=-1)
        right = [
            answers.entries[index] in question.answers for index, question in zip(best, questions, strict=True)
        ]
        return accuracy_by_kind(kinds, right)

    return check


def _train(
    options: Options,
    model: VQA,
    epochs: EpochsOfQuestions,
    evaluate: Callable[[Any], Mapping[str, float]],
    progress: Progress,
) -> TrainingState:
    steps = options.epochs * epochs.steps
    params = initial_params(model, jax.random.key(options.seed), epochs.batch_at(0)["features"].shape[-1])
    optimizer = (
        modern(options.learning_rate, steps, weight_decay=options.weight_decay)
        if options.preset == "modern"
        else published_vqa(options.learning_rate)
    )
    described = {key: value for key, value in dataclasses.asdict(options).items() if key not in _ELSEWHERE}
    return train(
        functools.partial(head_loss, model, location_weight=options.location_weight),
        params,
        epochs.batch_at,
        optimizer,
        steps,
        key=jax.random.key(options.seed + 1),
        evaluate=evaluate,
        monitor="all",
        every=epochs.steps,
        folder=Path(options.run_folder),
        settings=described,
        report=lambda step, numbers: progress(f"loss {numbers['loss']:.3f} val {numbers['all']:.3f}", step, steps),
    )


_ELSEWHERE = ("data", "output", "run_folder")  # where things lie does not change a run


def _notes(options: Options, seen: ViewFeatures, validation: Mapping[str, float], seconds: float) -> str:
    photos = sorted({part.photo.key for view in seen.views for part in view.parts})
    recipe = {key: value for key, value in dataclasses.asdict(options).items() if key not in _ELSEWHERE}
    notes = {
        "trained_by": "python scripts/train.py --task vqa --data DIR",
        "photos": len(photos),
        "photos_sha256": hashlib.sha256("\n".join(photos).encode()).hexdigest(),
        "views": len(seen.views),
        "recipe": recipe,
        "seconds": round(seconds),
        "validation": {kind: round(score, 4) for kind, score in validation.items()},
    }
    return json.dumps(notes)

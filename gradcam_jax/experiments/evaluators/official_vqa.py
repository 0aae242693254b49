"""Answers the official VQA questions, in the file that the official script takes, and scores the answers."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gradcam_jax.app import output
from gradcam_jax.errors import InputError
from gradcam_jax.evaluation.official_vqa import official_scores
from gradcam_jax.experiments.data.question_sets import encode_question_set, read_question_set
from gradcam_jax.experiments.training.run_official_vqa import CNNS, photo_features
from gradcam_jax.experiments.training.vqa_features import Progress
from gradcam_jax.experiments.training.vqa_official import best_answers
from gradcam_jax.zoo.question_models import load_question_model

RESULTS = "vqa_results.json"
"""The file of the answers."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asked for; the names are the command line's.

    Attributes:
        questions: Files of questions.
        images: Their photos, one folder each.
        annotations: Their answers, one file each; none for the test sets, whose answers are not published.
        model: A VQA model's name, or its file.
        work: Where the photos' features lie; the training run's spares time.
        out_path: Where ``vqa_results.json`` and ``evaluation.json`` go.
    """

    questions: Sequence[str]
    images: Sequence[str]
    annotations: Sequence[str] = ()
    model: str = "vqa_vgg19"
    work: str = "output/train_official_vqa"
    out_path: str = "output"


def run(
    options: Options, say: Callable[[str], None] = lambda _: None, progress: Progress = lambda *_: None
) -> Path:
    """Writes ``vqa_results.json``, ``[{"question_id": ..., "answer": ...}, ...]``, and scores it if it can.

    Args:
        options: What the user asked for.
        say: Takes each line of the report.
        progress: Called while something long is done: its name, how much is done, and of how much.

    Returns:
        ``evaluation.json``, or the results' file where there are no annotations.

    Raises:
        InputError: If the data or the model cannot be used.
    """
    folder = output.make_folder(options.out_path)
    model = load_question_model(options.model)
    if model.name not in CNNS:
        raise InputError(f"Expected a model of {', '.join(CNNS)}, got one of {model.name} instead.")
    asked = read_question_set(options.questions, options.annotations, options.images)
    features = photo_features(model.name, asked.photos, Path(options.work), progress)
    encoded = encode_question_set(asked, model.words, model.answers)
    head = {name: leaf for name, leaf in model.variables["params"].items() if name != "cnn"}
    best = [model.answers.entries[index] for index in best_answers(model.model, head, features, encoded)]

    results = [
        {"question_id": question.question_id, "answer": answer}
        for question, answer in zip(asked.questions, best, strict=True)
    ]
    file = folder / RESULTS
    file.write_text(json.dumps(results, ensure_ascii=False), encoding="utf-8")
    say(f"wrote {len(results)} answers to {file}")
    if not options.annotations:
        return file
    scores = official_scores(best, asked.questions)
    record: dict[str, Any] = {"model": options.model, "questions": len(best), **scores}
    for name in ("official", "vqa_accuracy"):
        say(f"{name}: " + ", ".join(f"{kind} {score:.4f}" for kind, score in scores[name].items()))
    return output.save_record(folder / "evaluation.json", record)

"""Measures a VQA model on easy-VQA's test set: its answers, and whether its maps point at the shape."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.app import output
from gradcam_jax.errors import InputError
from gradcam_jax.evaluation.answers import QuestionOnlyBaseline, accuracy_by_kind
from gradcam_jax.evaluation.pointing import CENTRE, lies_in, points_at
from gradcam_jax.experiments.data.easy_vqa import EasyQuestion, EasyVqa, read_easy_vqa, shape_box
from gradcam_jax.experiments.data.photos import Box
from gradcam_jax.experiments.training.run_easy_vqa import MODEL, predictions
from gradcam_jax.experiments.training.vqa_features import Progress
from gradcam_jax.images.preprocessing import to_network
from gradcam_jax.tasks.vqa import explain_answers
from gradcam_jax.text.questions import encode_question
from gradcam_jax.zoo.question_models import QuestionModel, load_question_model

_AT_ONCE = 50


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asked for; the names are the command line's.

    Attributes:
        model: ``"vqa_easy"``, or the file of one.
        out_path: Where ``evaluation.json`` goes.
    """

    model: str = MODEL
    out_path: str = "output"


def run(
    options: Options, say: Callable[[str], None] = lambda _: None, progress: Progress = lambda *_: None
) -> Path:
    """Measures a model and writes ``evaluation.json``.

    Args:
        options: What the user asked for.
        say: Takes each line of the report.
        progress: Called while something long is done: its name, how much is done, and of how much.

    Returns:
        The file written.

    Raises:
        InputError: If easy-VQA is not installed, or the model is another one.
    """
    folder = output.make_folder(options.out_path)
    model = load_question_model(options.model)
    if model.name != MODEL:
        raise InputError(f"Expected {MODEL} or a file of it, got a file of {model.name} instead.")
    training, test = read_easy_vqa("train"), read_easy_vqa("test")
    given = predictions(model.model, model.variables["params"], test, model.words, model.answers)
    record: dict[str, Any] = {
        "model": options.model,
        "layer": model.entry.layer,
        "test_pictures": len(test.images),
        "answers": _answers(test.questions, given, training.questions),
        "pointing_game": _pointing(model, test, given, progress),
    }
    for line in _report(record):
        say(line)
    return output.save_record(folder / "evaluation.json", record)


def random_map_accuracy(shape: tuple[int, int], box: Box) -> float:
    """Returns the chance that a map of random numbers points into a box: the fraction of its cells centred there.

    Args:
        shape: Rows and columns of the map.
        box: In fractions of the picture.

    Example:
        >>> random_map_accuracy((4, 4), Box(0.0, 0.0, 0.5, 0.25))
        0.125
    """
    rows, columns = ((np.arange(length) + 0.5) / length for length in shape)
    inside_rows = (box.top <= rows) & (rows <= box.bottom)
    inside_columns = (box.left <= columns) & (columns <= box.right)
    return float(inside_rows.mean() * inside_columns.mean())


def _answers(
    questions: Sequence[EasyQuestion], given: Sequence[str], training: Sequence[EasyQuestion]
) -> dict[str, dict[str, float]]:
    baseline = QuestionOnlyBaseline((question.kind, question.text, (question.answer,)) for question in training)
    blind = [baseline.answer(question.kind, question.text) for question in questions]
    kinds = [question.kind for question in questions]
    seeing, unseeing = (
        accuracy_by_kind(kinds, [a == question.answer for a, question in zip(answers, questions, strict=True)])
        for answers in (given, blind)
    )
    return {
        kind: {
            "accuracy": seeing[kind],
            "question_only": unseeing[kind],
            "questions": len(kinds) if kind == "all" else kinds.count(kind),
        }
        for kind in seeing
    }


def _pointing(
    model: QuestionModel, test: EasyVqa, given: Sequence[str], progress: Progress
) -> dict[str, dict[str, float]]:
    """Maps every shape and colour question that was answered rightly, and looks where the map is highest."""
    asked = [
        question
        for question, answer in zip(test.questions, given, strict=True)
        if answer == question.answer and question.kind in ("shape", "colour")
    ]
    boxes = [shape_box(test.images[question.image]) for question in asked]
    cams = _cams(model, test.images, asked, progress)
    kinds = [question.kind for question in asked]
    scores = {
        "accuracy": [points_at(cam, [box]) for cam, box in zip(cams, boxes, strict=True)],
        "random_map": [random_map_accuracy(cam.shape, box) for cam, box in zip(cams, boxes, strict=True)],
        "centre": [lies_in(CENTRE, [box]) for box in boxes],
    }
    means = {name: accuracy_by_kind(kinds, values) for name, values in scores.items()}
    counts = {kind: kinds.count(kind) for kind in kinds} | {"all": len(kinds)}
    return {
        kind: {**{name: mean[kind] for name, mean in means.items()}, "maps": counts[kind]}
        for kind in means["accuracy"]
    }


def _cams(
    model: QuestionModel, images: np.ndarray, asked: Sequence[EasyQuestion], progress: Progress
) -> list[np.ndarray]:
    explain = jax.jit(jax.vmap(functools.partial(_cam, model), in_axes=(None, 0, 0, 0, 0)))
    cams: list[np.ndarray] = []
    for start in range(0, len(asked), _AT_ONCE):
        rows = np.arange(start, start + _AT_ONCE).clip(max=len(asked) - 1)
        questions = [asked[row] for row in rows]
        encoded = [encode_question(question.text, model.words) for question in questions]
        found = explain(
            model.variables,
            images[[question.image for question in questions]].astype(np.float32) / np.float32(255),
            np.stack([question.ids for question in encoded]),
            np.array([question.length for question in encoded], np.int32),
            np.array([model.answers.index(question.answer) for question in questions], np.int32),
        )
        cams += list(np.asarray(found)[: len(asked) - start])
        progress("maps", len(cams), len(asked))
    return cams


def _cam(
    model: QuestionModel, variables: Any, image: jax.Array, ids: jax.Array, length: jax.Array, answer: jax.Array
) -> jax.Array:
    pixels = to_network(image, model.entry.recipe)
    targets = answer[jnp.newaxis]
    return explain_answers(model.model, variables, model.entry.layer, pixels, ids, length, targets).image.cam[0]


def _report(record: dict[str, Any]) -> list[str]:
    lines = [f"{'answers':<14}{'accuracy':>9}{'question only':>15}{'questions':>11}"]
    for kind, row in record["answers"].items():
        lines.append(f"{kind:<14}{row['accuracy']:>9.3f}{row['question_only']:>15.3f}{row['questions']:>11}")
    lines.append(f"{'maps':<14}{'in the box':>11}{'random map':>12}{'centre':>8}{'maps':>6}")
    for kind, row in record["pointing_game"].items():
        numbers = f"{row['accuracy']:>11.3f}{row['random_map']:>12.3f}{row['centre']:>8.3f}{row['maps']:>6}"
        lines.append(f"{kind:<14}{numbers}")
    return lines

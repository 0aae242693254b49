"""Measures a VQA model on easy-VQA's test set: its answers, and whether its maps point at the shape."""

import functools
from collections.abc import Iterator, Sequence

import numpy as np

from gradcam_jax.evaluation.pointing import CENTRE, inside_boxes, lies_in, points_at
from gradcam_jax.experiments.data.easy_vqa import EasyVqa, read_easy_vqa, shape_box
from gradcam_jax.experiments.evaluators.findings import Finding
from gradcam_jax.experiments.evaluators.maps import maps_of
from gradcam_jax.experiments.metrics.answers import QuestionOnlyBaseline, answer_table, table_by_kind
from gradcam_jax.experiments.reporting import Progress
from gradcam_jax.experiments.training.vqa_end_to_end import predictions
from gradcam_jax.tasks.vqa import vqa
from gradcam_jax.zoo import Loaded


def evaluate(loaded: Loaded, progress: Progress) -> Iterator[Finding]:
    """Yields what is measured of ``vqa_easy`` on the official test pictures."""
    training, test = read_easy_vqa("train"), read_easy_vqa("test")
    answers = predictions(
        loaded.model,
        loaded.entry.preprocessing,
        loaded.variables["params"],
        test,
        words=loaded.words,
        answers=loaded.labels,
    )
    yield "layer", loaded.entry.layer
    yield "test_pictures", len(test.images)
    questions, training_questions = (
        [(question.kind, question.text, (question.answer,)) for question in part.questions]
        for part in (test, training)
    )
    yield "answers", answer_table(answers, questions, QuestionOnlyBaseline(training_questions))
    yield "pointing_game", _pointing_game(loaded, test, answers, progress)


def _pointing_game(
    loaded: Loaded, test: EasyVqa, answers: Sequence[str], progress: Progress
) -> dict[str, dict[str, float]]:
    """Maps every shape and colour question that was answered rightly, and looks where the map is highest."""
    questions = [
        question
        for question, answer in zip(test.questions, answers, strict=True)
        if answer == question.answer and question.kind in ("shape", "colour")
    ]

    def image_at(row: int) -> np.ndarray:
        return test.images[questions[row].image].astype(np.float32) / np.float32(255)

    cams = maps_of(
        vqa(loaded),
        image_at,
        [{"question": question.text, "answer": question.answer} for question in questions],
        report=functools.partial(progress, "maps"),
    )
    boxes = [[shape_box(test.images[question.image])] for question in questions]
    pairs = list(zip(cams, boxes, strict=True))
    scores = {
        "accuracy": [points_at(cam, box) for (cam,), box in pairs],
        "random_map": [float(inside_boxes(box, cam.shape).mean()) for (cam,), box in pairs],
        "centre": [lies_in(CENTRE, box) for box in boxes],
    }
    return table_by_kind([question.kind for question in questions], scores, counted="maps")

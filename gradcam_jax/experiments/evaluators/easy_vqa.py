"""Measures a VQA model on easy-VQA's test set: its answers, and whether its maps point at the shape."""

from collections.abc import Iterator, Sequence

import numpy as np

from gradcam_jax.evaluation.answers import QuestionOnlyBaseline, table_by_kind
from gradcam_jax.evaluation.pointing import CENTRE, inside_boxes, lies_in, points_at
from gradcam_jax.experiments.data.easy_vqa import EasyQuestion, EasyVqa, read_easy_vqa, shape_box
from gradcam_jax.experiments.evaluators.findings import Finding
from gradcam_jax.experiments.evaluators.maps import maps_of
from gradcam_jax.experiments.reporting import Progress
from gradcam_jax.experiments.training.vqa_end_to_end import predictions
from gradcam_jax.tasks.vqa import vqa
from gradcam_jax.zoo import Loaded


def evaluate(loaded: Loaded, progress: Progress) -> Iterator[Finding]:
    """Yields what is measured on the official test pictures.

    Args:
        loaded: The model ``vqa_easy``.
        progress: Called as maps are made.

    Raises:
        InputError: If easy-VQA is not installed.
    """
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
    yield "answers", _answer_scores(answers, test.questions, training.questions)
    yield "pointing_game", _pointing_game(loaded, test, answers, progress)


def _answer_scores(
    answers: Sequence[str], questions: Sequence[EasyQuestion], training: Sequence[EasyQuestion]
) -> dict[str, dict[str, float]]:
    baseline = QuestionOnlyBaseline((question.kind, question.text, (question.answer,)) for question in training)
    blind = [baseline.answer(question.kind, question.text) for question in questions]
    scores = {
        name: [answer == question.answer for answer, question in zip(given, questions, strict=True)]
        for name, given in (("accuracy", answers), ("question_only", blind))
    }
    return table_by_kind([question.kind for question in questions], scores, counted="questions")


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
        report=lambda done: progress("maps", done, len(questions)),
    )
    boxes = [[shape_box(test.images[question.image])] for question in questions]
    pairs = list(zip(cams, boxes, strict=True))
    scores = {
        "accuracy": [points_at(cam, box) for (cam,), box in pairs],
        "random_map": [float(inside_boxes(box, cam.shape).mean()) for (cam,), box in pairs],
        "centre": [lies_in(CENTRE, box) for box in boxes],
    }
    return table_by_kind([question.kind for question in questions], scores, counted="maps")

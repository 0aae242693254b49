"""Measures a VQA model on photos that it was not trained on: its answers, and where its maps point."""

import functools
from collections.abc import Iterator, Sequence

import jax
import numpy as np

from gradcam_jax.evaluation.answers import QuestionOnlyBaseline, table_by_kind, vqa_accuracy
from gradcam_jax.evaluation.pointing import CENTRE, lies_in, points_at
from gradcam_jax.experiments.batches import in_batches
from gradcam_jax.experiments.data.photos import Box, read_photos
from gradcam_jax.experiments.data.questions import TemplateQuestion, ask
from gradcam_jax.experiments.data.views import View, held_out_collages, render, split_views
from gradcam_jax.experiments.data.vqa_files import HumanQuestion, read_human_questions
from gradcam_jax.experiments.evaluators.findings import Finding
from gradcam_jax.experiments.evaluators.maps import maps_of
from gradcam_jax.experiments.reporting import Progress
from gradcam_jax.experiments.training.vqa_examples import (
    HUMAN,
    as_templates,
    encode,
    plain_views,
    questions_of_photos,
)
from gradcam_jax.experiments.training.vqa_head import best_answers
from gradcam_jax.images.preprocessing import to_network
from gradcam_jax.tasks.vqa import vqa
from gradcam_jax.text.questions import MAX_QUESTION_TOKENS
from gradcam_jax.zoo import Loaded

_SEED = 123


def evaluate(loaded: Loaded, data: str, progress: Progress) -> Iterator[Finding]:
    """Yields what is measured on the test photos of a folder.

    Args:
        loaded: A VQA model.
        data: A folder with photo sets, as for training.
        progress: Called as photos are encoded and maps are made.

    Raises:
        InputError: If there are no photos.
    """
    photos = read_photos(data)
    training, views = split_views(photos, "train"), split_views(photos, "test")
    rng = np.random.default_rng(_SEED)
    asked_in_training, questions = ask(training, rng), ask(views, rng)
    human = read_human_questions(data)
    features = _features(loaded, views, progress)
    yield "image_size", loaded.entry.size
    yield "test_photos", len(views)
    yield from template_scores(loaded, features, views, questions, asked_in_training)
    in_test, in_training = (questions_of_photos(human, part) for part in (views, training))
    yield "human", human_scores(loaded, features, views, in_test, in_training)
    yield "pointing_game", pointing_game(loaded, views, questions, progress)
    yield "collages", collage_scores(loaded, held_out_collages(photos, "test"), progress)


def template_scores(
    loaded: Loaded,
    features: np.ndarray,
    views: Sequence[View],
    questions: Sequence[TemplateQuestion],
    training: Sequence[TemplateQuestion],
) -> Iterator[Finding]:
    """Yields the accuracy by kind of question, beside that of the question alone; of all photos, and of COCO's."""
    baseline = QuestionOnlyBaseline((question.kind, question.text, question.answers) for question in training)
    rows = [
        (question, answer in question.answers, baseline.answer(question.kind, question.text) in question.answers)
        for question, answer in zip(questions, _answers(loaded, features, questions), strict=True)
    ]
    coco = [row for row in rows if views[row[0].view].complete]
    for name, part in (("templates", rows), ("templates_on_coco", coco)):
        scores = {"accuracy": [row[1] for row in part], "question_only": [row[2] for row in part]}
        yield name, table_by_kind([question.kind for question, *_ in part], scores, counted="questions")


def human_scores(
    loaded: Loaded,
    features: np.ndarray,
    views: Sequence[View],
    questions: Sequence[HumanQuestion],
    training: Sequence[HumanQuestion],
) -> dict[str, float]:
    """Returns the VQA accuracy on people's questions, beside answers that need no photo, or nothing."""
    if not questions:
        return {}
    prior = QuestionOnlyBaseline((question.question_type, "", (question.answer,)) for question in training)
    answers = {
        "vqa_accuracy": _answers(loaded, features, as_templates(questions, plain_views(views))),
        "always_yes": ["yes"] * len(questions),
        "question_type_prior": [prior.answer(question.question_type, HUMAN) or "yes" for question in questions],
    }
    means = {
        name: float(
            np.mean([vqa_accuracy(a, question.answers) for a, question in zip(texts, questions, strict=True)])
        )
        for name, texts in answers.items()
    }
    return means | {"questions": len(questions)}


def pointing_game(
    loaded: Loaded, views: Sequence[View], questions: Sequence[TemplateQuestion], progress: Progress
) -> dict[str, float]:
    """Explains the right answers to "what X" on COCO photos, and looks where their maps are highest."""
    asked = [
        (question, word)
        for question in questions
        if question.kind.startswith("what ") and question.kind != "what is this"
        if views[question.view].complete and len(views[question.view].parts) == 1
        for word in question.answers
        if word in loaded.labels
    ]
    cams = maps_of(
        vqa(loaded),
        lambda row: render(views[asked[row][0].view], loaded.entry.size),
        [{"question": question.text, "answer": word} for question, word in asked],
        report=lambda done: progress("pointing game", done, len(asked)),
    )
    boxes = [_boxes(views[question.view], word) for question, word in asked]
    hits = np.array([points_at(cam, places) for (cam,), places in zip(cams, boxes, strict=True)], bool)
    central = np.array([lies_in(CENTRE, places) for places in boxes], bool)
    small = np.array([sum(box.area for box in places) < 0.5 for places in boxes], bool)
    return {
        "accuracy": float(np.mean(hits)),
        "centre": float(np.mean(central)),
        "maps": len(hits),
        "accuracy_small": float(np.mean(hits[small])),
        "centre_small": float(np.mean(central[small])),
        "maps_small": int(small.sum()),
    }


def collage_scores(loaded: Loaded, views: Sequence[View], progress: Progress) -> dict[str, float]:
    """Asks "What animal?" about two animals side by side; each one's map must point into its own half."""
    asked: list[tuple[View, str, Box]] = []
    for view in views:
        for part in view.parts:
            words = [item.word for item in view.objects if lies_in(_centre(item.box), [part.place])]
            asked.append((view, max(set(words), key=words.count), part.place))
    asked = [row for row in asked if row[1] in loaded.labels]
    cams = maps_of(
        vqa(loaded),
        lambda row: render(asked[row][0], loaded.entry.size),
        [{"question": "What animal?", "answer": animal} for _, animal, _ in asked],
        report=lambda done: progress("collages", done, len(asked)),
    )
    hits = [points_at(cam, [place]) for (cam,), (_, _, place) in zip(cams, asked, strict=True)]
    return {"accuracy": float(np.mean(hits)), "chance": 0.5, "maps": len(hits)}


def _features(loaded: Loaded, views: Sequence[View], progress: Progress) -> np.ndarray:
    encode = jax.jit(functools.partial(loaded.model.apply, method="features"))

    def run(rows: np.ndarray) -> jax.Array:
        images = np.stack([render(views[row], loaded.entry.size) for row in rows.tolist()])
        progress("test photos", int(rows[-1]) + 1, len(views))
        return encode(loaded.variables, to_network(images, loaded.entry.preprocessing))

    return in_batches(run, np.arange(len(views)), batch_size=16)


def _answers(loaded: Loaded, features: np.ndarray, questions: Sequence[TemplateQuestion]) -> list[str]:
    examples = encode(questions, loaded.words, loaded.labels, MAX_QUESTION_TOKENS)
    best = best_answers(loaded.model, loaded.variables["params"], features, examples)
    return [loaded.labels.entries[index] for index in best]


def _boxes(view: View, word: str) -> list[Box]:
    return [item.box for item in view.parts[0].photo.objects if item.word == word]


def _centre(box: Box) -> tuple[float, float]:
    return (box.left + box.right) / 2, (box.top + box.bottom) / 2

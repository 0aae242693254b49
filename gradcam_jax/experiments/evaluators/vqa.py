"""Measures a VQA model on photos that it was not trained on: its answers, and where its maps point."""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from gradcam_jax.evaluation.pointing import CENTRE, lies_in, points_at
from gradcam_jax.experiments.batches import in_batches
from gradcam_jax.experiments.data.faults import Faults, keep_whole
from gradcam_jax.experiments.data.located_captions import LARGEST
from gradcam_jax.experiments.data.photos import Box, read_photos
from gradcam_jax.experiments.data.questions import YES, TemplateQuestion, ask
from gradcam_jax.experiments.data.views import View, held_out_collages, main_animal, render, split_views
from gradcam_jax.experiments.data.vqa_files import HumanQuestion, read_human_questions
from gradcam_jax.experiments.data.words import with_article
from gradcam_jax.experiments.evaluators.findings import Finding
from gradcam_jax.experiments.evaluators.maps import maps_of
from gradcam_jax.experiments.evaluators.sheets import MAPS, BoxedMap, save_ranked_maps
from gradcam_jax.experiments.metrics.answers import QuestionOnlyBaseline, answer_table, vqa_accuracy
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

_HALF = 0.5  # of the photo's area
_SEED = 123


def evaluate(
    loaded: Loaded, data: str, faults: Faults, progress: Progress, *, pictures: Path | None = None
) -> Iterator[Finding]:
    """Yields what is measured on the test photos of a folder; the best to worst maps are drawn in ``pictures``."""
    photos = keep_whole(read_photos(data, faults), faults, progress=progress)
    human = read_human_questions(data, faults)
    faults.settle()
    training, views = split_views(photos, "train"), split_views(photos, "test")
    rng = np.random.default_rng(_SEED)
    training_questions, questions = ask(training, rng), ask(views, rng)
    features = _features(loaded, views, progress)
    yield "image_size", loaded.entry.size
    yield "test_photos", len(views)
    yield from template_scores(loaded, features, views, questions, training_questions)
    in_test, in_training = (questions_of_photos(human, part) for part in (views, training))
    yield "human", human_scores(loaded, features, views, in_test, in_training)
    maps = pointing_maps(loaded, views, questions, progress)
    yield "pointing_game", pointing_game(maps)
    yield "pointing_game_is_there", pointing_game(presence_maps(loaded, views, progress))
    if pictures and maps:
        yield "maps_by_rank", save_ranked_maps(maps, pictures / MAPS)
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
    answers = _answers(loaded, features, questions)
    rows = [(question.kind, question.text, question.answers) for question in questions]
    yield "templates", answer_table(answers, rows, baseline)
    coco = [row for row, question in enumerate(questions) if views[question.view].complete]
    yield (
        "templates_on_coco",
        answer_table([answers[row] for row in coco], [rows[row] for row in coco], baseline),
    )


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
    people = [question.answers for question in questions]
    means = {name: float(np.mean(list(map(vqa_accuracy, texts, people)))) for name, texts in answers.items()}
    return means | {"questions": len(questions)}


def pointing_maps(
    loaded: Loaded, views: Sequence[View], questions: Sequence[TemplateQuestion], progress: Progress
) -> list[BoxedMap]:
    """Explains the right answers to "what X" on COCO photos."""
    queries = [
        _Query(view, question.text, word, [item.box for item in view.parts[0].photo.objects if item.word == word])
        for question in questions
        if question.kind.startswith("what ") and question.kind != "what is this"
        for view in [views[question.view]]
        if view.complete and len(view.parts) == 1
        for word in question.answers
        if word in loaded.labels
    ]
    return _boxed_maps(loaded, queries, functools.partial(progress, "pointing game"))


def presence_maps(loaded: Loaded, views: Sequence[View], progress: Progress) -> list[BoxedMap]:
    """Explains "yes" to "Is there a ...?" for each kind of object that COCO photos show, unless it fills them."""
    queries = [
        _Query(view, f"Is there {with_article(word)}?", YES, boxes)
        for view in views
        if view.complete and len(view.parts) == 1
        for word in sorted({item.word for item in view.objects})
        for boxes in [[item.box for item in view.parts[0].photo.objects if item.word == word]]
        if sum(box.area for box in boxes) < LARGEST and YES in loaded.labels
    ]
    return _boxed_maps(loaded, queries, functools.partial(progress, "is there"))


def pointing_game(maps: Sequence[BoxedMap]) -> dict[str, float]:
    """Returns how often maps are highest in a box of what they are about; and how often the centre lies in one.

    The same of boxes under half the photo, ``small``; where there are no maps, their number alone.
    """
    small = [one for one in maps if sum(box.area for box in one.boxes) < _HALF]
    return _hits(maps, "") | _hits(small, "_small")


def _hits(maps: Sequence[BoxedMap], which: str) -> dict[str, float]:
    if not maps:
        return {f"maps{which}": 0}
    return {
        f"accuracy{which}": float(np.mean([points_at(one.cam, one.boxes) for one in maps])),
        f"centre{which}": float(np.mean([lies_in(CENTRE, one.boxes) for one in maps])),
        f"maps{which}": len(maps),
    }


def collage_scores(loaded: Loaded, views: Sequence[View], progress: Progress) -> dict[str, float]:
    """Asks "What animal?" about two animals side by side; each one's map must point into its own half."""
    queries = [
        _Query(view, "What animal?", animal, [part.place])
        for view in views
        for part in view.parts
        for animal in [main_animal(part.photo)]
        if animal is not None and animal in loaded.labels
    ]
    maps = _boxed_maps(loaded, queries, functools.partial(progress, "collages"))
    hits = [points_at(one.cam, one.boxes) for one in maps]
    return {"accuracy": float(np.mean(hits)), "chance": 0.5, "maps": len(hits)} if hits else {"maps": 0}


class _Query(NamedTuple):
    """A question about a view, the answer to explain, and where its map should point."""

    view: View
    question: str
    answer: str
    boxes: Sequence[Box]


def _boxed_maps(loaded: Loaded, queries: Sequence[_Query], report: Callable[[int, int], None]) -> list[BoxedMap]:
    def image_at(row: int) -> np.ndarray:
        return render(queries[row].view, loaded.entry.size)

    requests = [{"question": row.question, "answer": row.answer} for row in queries]
    cams = maps_of(vqa(loaded), image_at, requests, report=report)
    return [
        BoxedMap(row.answer, row.view.parts[0].photo.key, functools.partial(image_at, place), cam, row.boxes)
        for place, (row, (cam,)) in enumerate(zip(queries, cams, strict=True))
    ]


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

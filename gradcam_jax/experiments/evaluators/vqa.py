"""Measures a VQA model on photos that it was not trained on: its answers, and where its maps point."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.app import output
from gradcam_jax.evaluation.answers import QuestionOnlyBaseline, accuracy_by_kind, vqa_accuracy
from gradcam_jax.evaluation.pointing import CENTRE, lies_in, points_at
from gradcam_jax.experiments.data.features import encode_images
from gradcam_jax.experiments.data.photos import Photo, read_photos
from gradcam_jax.experiments.data.questions import FALSE_PREMISE, TemplateQuestion, ask
from gradcam_jax.experiments.data.views import View, render, rendered
from gradcam_jax.experiments.data.vqa_files import HumanQuestion
from gradcam_jax.experiments.training.run_vqa import plain_views, questions_of_photos, read_human_questions
from gradcam_jax.experiments.training.vqa import predict
from gradcam_jax.experiments.training.vqa_examples import HUMAN, as_templates, encode
from gradcam_jax.experiments.training.vqa_features import Progress, held_out_collages, split_views
from gradcam_jax.images.preprocessing import to_network
from gradcam_jax.tasks.vqa import explain_answers
from gradcam_jax.text.questions import MAX_QUESTION_TOKENS, encode_question
from gradcam_jax.zoo.question_models import QuestionModel, load_question_model

_SEED = 123


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asked for; the names are the command line's.

    Attributes:
        data: A folder with photo sets, as for training; photos are taken from its test part.
        model: A VQA model's name in the zoo, or its file.
        out_path: Where ``evaluation.json`` goes.
    """

    data: str
    model: str = "vqa_lite0"
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
    """
    folder = output.make_folder(options.out_path)
    model = load_question_model(options.model)
    photos = read_photos(options.data)
    training, views = split_views(photos, "train"), split_views(photos, "test")
    human = read_human_questions(options.data)
    features = _features(model, views, progress)

    rng = np.random.default_rng(_SEED)
    baseline = QuestionOnlyBaseline((q.kind, q.text, q.answers) for q in ask(training, rng))
    questions = ask(views, rng)
    coco = [question for question in questions if views[question.view].complete]
    record: dict[str, Any] = {
        "model": options.model,
        "image_size": model.entry.size,
        "test_photos": len(views),
        "templates": _templates(model, features, questions, baseline),
        "templates_on_coco": _templates(model, features, coco, baseline),
        "human": _human(
            model, features, views, questions_of_photos(human, views), questions_of_photos(human, training)
        ),
        "pointing_game": _pointing(model, views, coco, progress),
        "collages": _collages(model, held_out_collages(photos, "test"), progress),
    }
    for line in _report(record):
        say(line)
    return output.save_record(folder / "evaluation.json", record)


def _features(model: QuestionModel, views: Sequence[View], progress: Progress) -> np.ndarray:
    def run_cnn(images: jax.Array) -> dict[str, jax.Array]:
        pixels = to_network(images, model.entry.recipe)
        return {"features": jnp.asarray(model.model.apply(model.variables, pixels, method="features"))}

    return encode_images(
        run_cnn,
        rendered(views, model.entry.size),
        len(views),
        report=lambda done: progress("test photos", done, len(views)),
    )["features"]


def _answers(model: QuestionModel, features: np.ndarray, questions: Sequence[TemplateQuestion]) -> list[str]:
    examples = encode(questions, model.words, model.answers, MAX_QUESTION_TOKENS)
    scores = predict(model.model, model.variables["params"], features, examples)
    return [model.answers.entries[index] for index in scores.argmax(axis=-1)]


def _templates(
    model: QuestionModel,
    features: np.ndarray,
    questions: Sequence[TemplateQuestion],
    baseline: QuestionOnlyBaseline,
) -> dict[str, Any]:
    kinds = [question.kind for question in questions]
    given = _answers(model, features, questions)
    blind = [baseline.answer(question.kind, question.text) for question in questions]
    rights = [
        accuracy_by_kind(kinds, [answer in q.answers for answer, q in zip(answers, questions, strict=True)])
        for answers in (given, blind)
    ]
    counts = {kind: kinds.count(kind) for kind in kinds} | {"all": len(kinds)}
    return {
        kind: {"accuracy": rights[0][kind], "question_only": rights[1][kind], "questions": counts[kind]}
        for kind in rights[0]
    }


def _human(
    model: QuestionModel,
    features: np.ndarray,
    views: Sequence[View],
    asked: Sequence[HumanQuestion],
    training: Sequence[HumanQuestion],
) -> dict[str, float]:
    if not asked:
        return {}
    prior = QuestionOnlyBaseline((question.question_type, "", (question.answer,)) for question in training)
    given = _answers(model, features, as_templates(asked, plain_views(views)))
    by_type = [prior.answer(question.question_type, HUMAN) or "yes" for question in asked]

    def mean_accuracy(answers: Sequence[str]) -> float:
        return float(
            np.mean([vqa_accuracy(a, question.answers) for a, question in zip(answers, asked, strict=True)])
        )

    return {
        "vqa_accuracy": mean_accuracy(given),
        "always_yes": mean_accuracy(["yes"] * len(asked)),
        "question_type_prior": mean_accuracy(by_type),
        "questions": len(asked),
    }


def _pointing(
    model: QuestionModel, views: Sequence[View], questions: Sequence[TemplateQuestion], progress: Progress
) -> dict[str, float]:
    """Explains the right answers to "what X" on COCO photos and looks where their maps are highest."""
    explain, hits, central, small = _map_of(model), [], [], []
    asked = [
        (question, word)
        for question in questions
        if question.kind.startswith("what ") and len(views[question.view].parts) == 1
        for word in question.answers
        if question.kind != FALSE_PREMISE and word in model.answers and question.kind != "what is this"
    ]
    for done, (question, word) in enumerate(asked, 1):
        boxes = _boxes(views[question.view].parts[0].photo, word)
        cam = explain(render(views[question.view], model.entry.size), question.text, word)
        hits.append(points_at(cam, boxes))
        central.append(lies_in(CENTRE, boxes))
        small.append(sum(box.area for box in boxes) < 0.5)
        progress("pointing game", done, len(asked))
    chosen = np.array(small, bool)
    return {
        "accuracy": float(np.mean(hits)),
        "centre": float(np.mean(central)),
        "maps": len(hits),
        "accuracy_small": float(np.mean(np.array(hits)[chosen])),
        "centre_small": float(np.mean(np.array(central)[chosen])),
        "maps_small": int(chosen.sum()),
    }


def _collages(model: QuestionModel, views: Sequence[View], progress: Progress) -> dict[str, float]:
    """Asks "What animal?" about two animals side by side; each one's map must point into its own half."""
    explain, hits = _map_of(model), []
    for done, view in enumerate(views, 1):
        for part in view.parts:
            own = [thing.word for thing in view.things if _centre_in(thing.box, part.place)]
            animal = max(set(own), key=own.count)
            if animal in model.answers:
                hits.append(
                    points_at(explain(render(view, model.entry.size), "What animal?", animal), [part.place])
                )
        progress("collages", done, len(views))
    return {"accuracy": float(np.mean(hits)), "chance": 0.5, "maps": len(hits)}


def _map_of(model: QuestionModel) -> Callable[[np.ndarray, str, str], np.ndarray]:
    compiled = jax.jit(functools.partial(_cam, model))

    def explain(image: np.ndarray, text: str, answer: str) -> np.ndarray:
        question = encode_question(text, model.words)
        index = jnp.array([model.answers.index(answer)], jnp.int32)
        return np.asarray(compiled(model.variables, image, question.ids, jnp.int32(question.length), index))[0]

    return explain


def _cam(model: QuestionModel, variables: Any, image: jax.Array, *question: jax.Array) -> jax.Array:
    pixels = to_network(image, model.entry.recipe)
    return explain_answers(model.model, variables, model.entry.layer, pixels, *question).image.cam


def _boxes(photo: Photo, word: str) -> list[Any]:
    return [thing.box for thing in photo.things if thing.word == word]


def _centre_in(box: Any, place: Any) -> bool:
    return lies_in(((box.left + box.right) / 2, (box.top + box.bottom) / 2), [place])


def _report(record: dict[str, Any]) -> list[str]:
    lines = [f"{'test photos':<28}{'accuracy':>9}{'question only':>15}{'questions':>11}"]
    for name in ("templates", "templates_on_coco"):
        for kind, row in record[name].items():
            label = f"{kind} (COCO)" if name.endswith("coco") else kind
            lines.append(f"{label:<28}{row['accuracy']:>9.3f}{row['question_only']:>15.3f}{row['questions']:>11}")
    for name in ("human", "pointing_game", "collages"):
        numbers = ", ".join(
            f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}"
            for key, value in record[name].items()
        )
        lines.append(f"{name}: {numbers}")
    return lines

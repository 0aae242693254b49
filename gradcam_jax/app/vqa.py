"""Explains answers to a question about a photo: the original's ``visual_question_answering.lua``, and more."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.app import output
from gradcam_jax.app.classification import find_recipe, input_size
from gradcam_jax.attribution.maps import counterfactual_grad_cam, grad_cam
from gradcam_jax.engine.explanation import Explanation
from gradcam_jax.errors import InputError
from gradcam_jax.images import preprocessing
from gradcam_jax.images.photos import read_photo
from gradcam_jax.images.sample import sample_photo
from gradcam_jax.pictures import rendering
from gradcam_jax.pictures.question import sentence, stacked
from gradcam_jax.tasks.vqa import AnswerExplanation, explain_answers
from gradcam_jax.text.questions import Question, encode_question
from gradcam_jax.zoo import question_models
from gradcam_jax.zoo.question_models import QuestionModel, find_layer, load_question_model, spatial_layers

_SHOWN_PREDICTIONS = 5


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asked for; the names are the command line's.

    Attributes:
        input_image_path: A photo, or empty for the sample photo.
        question: The question.
        answer: Comma-separated answers to explain, or empty for the predicted one.
        top_k: Without an answer, how many of the most probable ones to explain.
        model_path: A VQA model's name, or a checkpoint of one.
        layer_name: The CNN's layer to map, by name or 1-based number, or empty for the model's own.
        counterfactual: Whether to map what would have to go for the model to be surer of the answer.
        input_sz: Side of the network's image, in pixels, or 0 for the model's own.
        recipe: A preprocessing recipe, or empty for the model's own.
        out_path: The output folder.
        save_as_heatmap: Whether the map is saved in colour (else in grey).
    """

    input_image_path: str = ""
    question: str = "What animal?"
    answer: str = ""
    top_k: int = 1
    model_path: str = question_models.DEFAULT
    layer_name: str = ""
    counterfactual: bool = False
    input_sz: int = 0
    recipe: str = ""
    out_path: str = "output"
    save_as_heatmap: bool = True


class Answered(NamedTuple):
    """What a run found: how the files are made, and everything that goes into them."""

    model: QuestionModel
    question: Question
    targets: list[int]
    probabilities: np.ndarray
    explained: AnswerExplanation


def run(options: Options, say: Callable[[str], None] = lambda _: None) -> list[Path]:
    """Explains answers to one question about one photo and writes the pictures and numbers.

    Args:
        options: What the user asked for.
        say: Takes each line of the report.

    Returns:
        The files written.

    Raises:
        InputError: If something asked for cannot be had.
    """
    model = load_question_model(options.model_path)
    question = encode_question(options.question, model.words)
    given = [model.answers.find(text) for text in options.answer.split(",") if text.strip()]
    count = _count_of_predicted(options, given, len(model.answers))
    recipe = find_recipe(options.recipe) if options.recipe else model.entry.recipe
    size = input_size(options.input_sz or model.entry.size, recipe)
    layer = find_layer(model, options.layer_name, size)
    folder = output.make_folder(options.out_path)
    photo = read_photo(options.input_image_path) if options.input_image_path else sample_photo()

    resized = recipe.resize(photo, size)
    image = preprocessing.to_network(resized.image, recipe)
    method = counterfactual_grad_cam if options.counterfactual else grad_cam
    explain = jax.jit(functools.partial(_explain_given_and_predicted, model.model, layer, method, count))
    arguments = image, question.ids, jnp.int32(question.length), jnp.array(given, jnp.int32)
    explained, indices = jax.device_get(explain(model.variables, *arguments))
    first = np.sort(np.unique(indices, return_index=True)[1])  # an answer may be given twice
    found = Answered(
        model,
        question,
        indices[first].tolist(),
        _softmax(explained.image.outputs),
        _in_rgb(_chosen(explained, first), recipe),
    )

    say(f"{options.input_image_path or 'sample photo'} through {model.name} ({layer}, {size}x{size})")
    _say_found(found, options, say)
    files = _save_pictures(folder, options, photo, resized.box, found)
    settings = {"layer": layer, "input_size": size, "recipe": recipe.name, "method": method.__name__}
    files += _save_numbers(folder, options, settings, found)
    say(f"wrote {len(files)} files to {folder}")
    return files


def list_layers(options: Options, say: Callable[[str], None]) -> None:
    """Tells the layers that can be mapped, with their shapes."""
    model = load_question_model(options.model_path)
    for name, shape in spatial_layers(model, options.input_sz or None).items():
        say(f"{name:<34}{'x'.join(map(str, shape))}")


def _count_of_predicted(options: Options, given: Sequence[int], answers: int) -> int:
    if not 1 <= options.top_k <= answers:
        raise InputError(f"Expected --top_k from 1 to {answers}, got {options.top_k} instead.")
    if given and options.top_k > 1:
        raise InputError(f"--top_k {options.top_k} explains predicted answers; leave --answer out.")
    return 0 if given else options.top_k


def _explain_given_and_predicted(
    model: Any,
    layer: str,
    method: Callable[..., jax.Array],
    count: int,
    variables: Any,
    image: jax.Array,
    ids: jax.Array,
    length: jax.Array,
    given: jax.Array,
) -> tuple[AnswerExplanation, jax.Array]:
    """Explains the answers given and the ``count`` most probable ones, in one compiled program."""
    highest = jax.lax.top_k(model.apply(variables, image, ids, length), count)[1]  # merged with the pass below
    indices = jnp.concatenate([given, highest])
    return explain_answers(model, variables, layer, image, ids, length, indices, method=method), indices


def _chosen(explained: AnswerExplanation, rows: np.ndarray) -> AnswerExplanation:
    outputs, *by_target = explained.image
    return AnswerExplanation(Explanation(outputs, *(values[rows] for values in by_target)), explained.words[rows])


def _in_rgb(explained: AnswerExplanation, recipe: preprocessing.Preprocessing) -> AnswerExplanation:
    image = explained.image
    return explained._replace(
        image=image._replace(
            guided_backprop=preprocessing.to_rgb(image.guided_backprop, recipe),
            guided_grad_cam=preprocessing.to_rgb(image.guided_grad_cam, recipe),
        )
    )


def _softmax(scores: np.ndarray) -> np.ndarray:
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()


def _say_found(found: Answered, options: Options, say: Callable[[str], None]) -> None:
    say(f"question: {options.question}")
    strangers = [
        token for token, known in zip(found.question.tokens, found.question.known, strict=True) if not known
    ]
    if strangers:
        say(f"  words the model does not know, read as UNK: {', '.join(strangers)}")
    if found.question.dropped:
        say(f"  only its first {found.question.length} words are read, {found.question.dropped} are cut off")
    say("predicted answers:")
    for index in _most_probable(found):
        say(f"  {found.probabilities[index]:6.1%}  {found.model.answers.entries[index]}")
    say("explained:")
    for row, index in enumerate(found.targets):
        image = found.explained.image
        nothing = "" if image.cam[row].max() > 0 else "  - no position speaks for it: its map is blank"
        say(f"  {found.model.answers.entries[index]}  score {image.scores[row]:.4f}{nothing}")


def _most_probable(found: Answered) -> list[int]:
    return np.argsort(-found.probabilities, kind="stable")[:_SHOWN_PREDICTIONS].tolist()


def _save_pictures(
    folder: Path, options: Options, photo: np.ndarray, box: tuple[float, float, float, float], found: Answered
) -> list[Path]:
    files, panels = [], []
    shape = (max(round(box[3] - box[1]), 1), max(round(box[2] - box[0]), 1))
    for row, index in enumerate(found.targets):
        answer = found.model.answers.entries[index]
        name = output.safe_name(answer)
        _, _, _, heatmap, pixels, fine = (np.asarray(values) for values in _of_target(found.explained.image, row))
        laid = rendering.overlay(photo, heatmap, box)
        drawn = (
            (rendering.heat_map(heatmap), f"vqa_gcam_hm_{name}.png")
            if options.save_as_heatmap
            else (rendering.grey_map(heatmap), f"vqa_gcam_{name}.png")
        )
        pictures = [
            drawn,
            (rendering.gradient_picture(pixels), f"vqa_gb_{name}.png"),
            (rendering.gradient_picture(fine), f"vqa_gb_gcam_{name}.png"),
            (laid, f"vqa_overlay_{name}.png"),
        ]
        files += [output.save_picture(picture, folder / file) for picture, file in pictures]
        tiles = [
            ("photo", photo),
            ("counterfactual" if options.counterfactual else "Grad-CAM", laid),
            ("guided backprop", rendering.stretch_to(rendering.centred_gradient_picture(pixels), shape)),
            ("Guided Grad-CAM", rendering.stretch_to(rendering.centred_gradient_picture(fine), shape)),
        ]
        words = found.explained.words[row][: found.question.length].tolist()
        legend = "red words speak for the answer, blue ones against it"
        picture = rendering.panel([rendering.Row(_title(found, row), tiles)], heading=options.question[:100])
        panels.append(stacked([picture, sentence(found.question.tokens, words, caption=legend)]))
        files.append(output.save_picture(panels[-1], folder / f"vqa_panel_{name}.png"))
    if len(panels) > 1:
        files.append(output.save_picture(stacked(panels), folder / "vqa_panel.png"))
    return files


def _of_target(explanation: Explanation, row: int) -> Explanation:
    outputs, *by_target = explanation
    return Explanation(outputs, *(values[row] for values in by_target))


def _title(found: Answered, row: int) -> str:
    index = found.targets[row]
    rank = int((found.probabilities > found.probabilities[index]).sum()) + 1
    title = f"{found.model.answers.entries[index]}: probability {found.probabilities[index]:.1%} (rank {rank})"
    return title if found.explained.image.cam[row].max() > 0 else f"{title} - no position speaks for it"


def _save_numbers(folder: Path, options: Options, settings: dict[str, Any], found: Answered) -> list[Path]:
    arrays = found.explained.image._asdict()
    kept = {name: arrays[name] for name in ("cam", "heatmap", "guided_backprop", "guided_grad_cam")}
    answers, question = found.model.answers.entries, found.question
    words = found.explained.words[:, : question.length]
    record = {
        "task": "vqa",
        "model": found.model.name,
        **settings,
        "question": options.question,
        # The importances for the first answer; each answer's own are with the answer.
        "question_tokens": [
            {"token": token, "known": known, "importance": float(importance)}
            for token, known, importance in zip(question.tokens, question.known, words[0], strict=True)
        ],
        "dropped_tokens": question.dropped,
        "predictions": [
            {"answer": answers[index], "probability": float(found.probabilities[index])}
            for index in _most_probable(found)
        ],
        "targets": [
            {
                "answer": answers[index],
                "score": float(arrays["scores"][row]),
                "all_negative": bool(arrays["cam"][row].max() <= 0),
                "word_importances": words[row].tolist(),
            }
            for row, index in enumerate(found.targets)
        ],
    }
    return [
        output.save_arrays(folder / "explanation.npz", **kept, word_importances=words),
        output.save_record(folder / "explanation.json", record),
    ]

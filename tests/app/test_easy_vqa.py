"""easy-VQA from the command's options to the scores, on made pictures."""

import json

import jax
import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.easy_vqa import EasyQuestion, EasyVqa, kind_of
from gradcam_jax.experiments.data.photos import Box
from gradcam_jax.experiments.evaluators import easy_vqa as evaluate_easy_vqa
from gradcam_jax.experiments.evaluators.easy_vqa import random_map_accuracy
from gradcam_jax.experiments.training import run_easy_vqa as train_easy_vqa
from gradcam_jax.experiments.training.run_easy_vqa import Options, run, split_off
from gradcam_jax.zoo.question_models import load_question_model

COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255)}


def _made(count: int, seed: int) -> EasyVqa:
    rng = np.random.default_rng(seed)
    images = np.full((count, 64, 64, 3), 245, np.uint8)
    questions = []
    for index, image in enumerate(images):
        colour = list(COLOURS)[index % 2]
        left, top = rng.integers(4, 44, 2)
        image[top : top + 16, left : left + 16] = COLOURS[colour]
        for text, answer in (
            ("what color is the shape?", colour),
            ("what shape is it?", "rectangle"),
            ("is it red?", "yes" if colour == "red" else "no"),
        ):
            questions.append(EasyQuestion(index, text, answer, kind_of(answer)))
    return EasyVqa(images, tuple(questions), ("yes", "no", "rectangle", *COLOURS))


class _PowerCutError(Exception):
    pass


@pytest.fixture(autouse=True)
def made(monkeypatch):
    def read(split: str) -> EasyVqa:
        return _made(28, 0) if split == "train" else _made(8, 1)

    monkeypatch.setattr(train_easy_vqa, "read_easy_vqa", read)
    monkeypatch.setattr(evaluate_easy_vqa, "read_easy_vqa", read)
    monkeypatch.setattr(train_easy_vqa, "_VALIDATION", 4)
    with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer count
        yield


def _options(folder, **fields) -> Options:
    defaults = {"output": str(folder / "v.safetensors"), "epochs": 3, "batch_size": 8, "asked": 2}
    return Options(run_folder=str(folder), **defaults | fields)


def test_an_interrupted_run_ends_in_the_same_weights_and_is_scored(tmp_path):
    whole, lines = run(_options(tmp_path / "whole")), []

    def power_cut(name: str, done: int, _total: int) -> None:
        if done == 5:
            raise _PowerCutError

    with pytest.raises(_PowerCutError):
        run(_options(tmp_path / "cut"), progress=power_cut)
    resumed = run(_options(tmp_path / "cut"))
    first, second = (load_question_model(str(path)) for path in (whole, resumed))
    jax.tree.map(np.testing.assert_array_equal, first.variables, second.variables)
    assert set(json.loads(first.card.notes)["validation"]) == {"all", "colour", "shape", "yes or no"}

    options = evaluate_easy_vqa.Options(str(whole), str(tmp_path / "out"))
    record = json.loads(evaluate_easy_vqa.run(options, lines.append).read_text())
    assert record["answers"]["all"]["questions"] == 24
    # Without the picture, "rectangle" is right, and half of the other two.
    assert record["answers"]["all"]["question_only"] == pytest.approx(2 / 3)
    assert set(record["pointing_game"]["all"]) == {"accuracy", "random_map", "centre", "maps"}
    assert lines[0].startswith("answers")


def test_another_model_is_refused():
    with pytest.raises(InputError, match="Expected vqa_easy"):
        evaluate_easy_vqa.run(evaluate_easy_vqa.Options("vqa_lite0"))


def test_split_off_pictures_keep_their_questions():
    data = _made(10, 0)
    first, last = split_off(data, 3)
    assert (len(first.images), len(last.images)) == (7, 3)
    assert [question.image for question in last.questions] == [0] * 3 + [1] * 3 + [2] * 3
    assert first.questions + tuple(q._replace(image=q.image + 7) for q in last.questions) == data.questions


# Of a 4x4 map, the cells' centres lie at 1/8, 3/8, 5/8 and 7/8 along each side.
@pytest.mark.parametrize(
    ("box", "chance"),
    [
        (Box(0, 0, 1, 1), 1),
        (Box(0, 0, 0.5, 0.25), 2 / 16),
        (Box(0.15, 0.15, 0.35, 0.35), 0),
        (Box(0.125, 0, 0.375, 1), 8 / 16),
    ],
)
def test_a_random_map_hits_as_often_as_cells_are_centred_in_the_box(box, chance):
    assert random_map_accuracy((4, 4), box) == chance

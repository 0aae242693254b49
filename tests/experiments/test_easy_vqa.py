"""easy-VQA from the command's options to the scores, on made pictures."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from gradcam_jax.experiments.data.easy_vqa import EasyQuestion, EasyVqa, kind_of, split_off
from gradcam_jax.experiments.evaluators import easy_vqa as evaluate_easy_vqa
from gradcam_jax.experiments.evaluators import program
from gradcam_jax.experiments.training.configs import vqa_easy
from gradcam_jax.experiments.training.program import Options, run
from gradcam_jax.zoo import load

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

    monkeypatch.setattr(vqa_easy, "read_easy_vqa", read)
    monkeypatch.setattr(evaluate_easy_vqa, "read_easy_vqa", read)
    with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer count
        yield


SMALL = dataclasses.replace(vqa_easy.MODERN, validation=4, batch_size=8, questions_each=2)


def _options(folder) -> Options:
    return Options(work=str(folder), checkpoint=str(folder / "v.safetensors"), epochs=3)


def test_an_interrupted_run_ends_in_the_same_weights_and_is_scored(tmp_path):
    whole, lines = run(SMALL, _options(tmp_path / "whole")), []

    def power_cut(name: str, done: int, _total: int) -> None:
        if done == 5:
            raise _PowerCutError

    with pytest.raises(_PowerCutError):
        run(SMALL, _options(tmp_path / "cut"), progress=power_cut)
    resumed = run(SMALL, _options(tmp_path / "cut"))
    first, second = (load(path, task="vqa") for path in (whole, resumed))
    jax.tree.map(np.testing.assert_array_equal, first.variables, second.variables)
    assert set(json.loads(first.card.notes)["validation"]) == {"all", "colour", "shape", "yes or no"}

    options = program.Options(
        task="vqa", dataset=program.EASY_VQA, model=str(whole), out_path=str(tmp_path / "out")
    )
    record = json.loads(program.run(options, lines.append).read_text())
    assert record["answers"]["all"]["questions"] == 24
    # Without the picture, "rectangle" is right, and half of the other two.
    assert record["answers"]["all"]["question_only"] == pytest.approx(2 / 3)
    assert set(record["pointing_game"]["all"]) == {"accuracy", "random_map", "centre", "maps"}
    assert lines[2].startswith("answers")


def test_split_off_pictures_keep_their_questions():
    data = _made(10, 0)
    first, last = split_off(data, 3)
    assert (len(first.images), len(last.images)) == (7, 3)
    assert [question.image for question in last.questions] == [0] * 3 + [1] * 3 + [2] * 3
    assert first.questions + tuple(q._replace(image=q.image + 7) for q in last.questions) == data.questions

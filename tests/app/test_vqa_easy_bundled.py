"""The bundled easy-VQA model: its answers about a picture drawn here, its scores on official test pictures."""

import json

import numpy as np
import PIL.Image
import pytest

from gradcam_jax.app.vqa import Options, run
from gradcam_jax.experiments.data.easy_vqa import EasyVqa, read_easy_vqa
from gradcam_jax.experiments.evaluators import easy_vqa as evaluate_easy_vqa
from gradcam_jax.experiments.training.run_easy_vqa import split_off
from gradcam_jax.zoo.question_models import load_question_model


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("what shape is in the image?", "rectangle"),
        ("what color is the shape?", "blue"),
        ("is there a red shape?", "no"),
        ("does the image not contain a circle?", "yes"),
    ],
)
def test_answers_about_a_blue_rectangle(tmp_path, question, answer):
    pixels = np.full((64, 64, 3), (245, 240, 235), np.uint8)
    pixels[34:54, 8:36] = (0, 0, 255)
    PIL.Image.fromarray(pixels).save(tmp_path / "shape.png")
    options = Options(str(tmp_path / "shape.png"), question, model_path="vqa_easy", out_path=str(tmp_path))
    run(options)
    record = json.loads((tmp_path / "explanation.json").read_text())
    assert record["predictions"][0]["answer"] == answer
    assert np.load(tmp_path / "explanation.npz")["cam"].shape == (1, 32, 32)


def test_scores_on_the_first_official_test_pictures(tmp_path, monkeypatch):
    pytest.importorskip("easy_vqa", reason="needs the package easy-vqa")

    def some(split: str) -> EasyVqa:
        return split_off(read_easy_vqa("test"), 920)[0]

    monkeypatch.setattr(evaluate_easy_vqa, "read_easy_vqa", some)
    record = json.loads(evaluate_easy_vqa.run(evaluate_easy_vqa.Options(out_path=str(tmp_path))).read_text())
    # All 1,000 pictures: 0.990 of the answers, 0.888 of the maps. These are 80, some 200 maps.
    assert record["answers"]["all"]["accuracy"] > 0.97
    assert record["pointing_game"]["all"]["accuracy"] > 0.83
    assert record["pointing_game"]["all"]["random_map"] < 0.15


def test_the_card_says_how_it_was_trained():
    card = load_question_model("vqa_easy").card
    notes = json.loads(card.notes)
    assert notes["trained_by"] == "python scripts/train.py --task vqa --dataset easy_vqa"
    assert notes["validation"]["all"] > 0.95
    assert (len(card.words), len(card.labels)) == (28, 13)

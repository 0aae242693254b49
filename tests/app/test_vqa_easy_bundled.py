"""The bundled easy-VQA model: its answers about a picture drawn here, and its card."""

import json

import numpy as np
import PIL.Image
import pytest

from gradcam_jax.app.one_photo import explain_one
from gradcam_jax.app.options import Options
from gradcam_jax.zoo import load


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
    photo = str(tmp_path / "shape.png")
    explain_one(
        Options(task="vqa", input_image_path=photo, question=question, model="vqa_easy", out_path=str(tmp_path))
    )
    record = json.loads((tmp_path / "explanation.json").read_text())
    assert record["predictions"][0]["answer"] == answer
    assert np.load(tmp_path / "explanation.npz")["cam"].shape == (1, 32, 32)


def test_the_card_says_how_it_was_trained():
    card = load("vqa_easy").card
    notes = json.loads(card.notes)
    assert notes["trained_by"] == "python scripts/train.py --task vqa --dataset easy_vqa"
    assert notes["validation"]["all"] > 0.95
    assert (len(card.words), len(card.labels)) == (28, 13)

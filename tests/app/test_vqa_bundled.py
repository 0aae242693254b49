"""The bundled VQA model answers rightly, and its maps lie on what they are about."""

import functools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from gradcam_jax.app.one_photo import explain_one
from gradcam_jax.app.options import Options
from gradcam_jax.evaluation.pointing import points_at
from gradcam_jax.zoo import load
from tests.comparison import SHARED_DATA, needs_shared_data

# Where the animals are on the original program's cat_dog.jpg, in fractions, measured by eye.
DOG, CAT = (0.31, 0.04, 0.72, 0.66), (0.15, 0.52, 0.97, 1.0)

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"


def _explained(folder, **options):
    explain_one(Options(task="vqa", out_path=str(folder), **options))
    record = json.loads((folder / "explanation.json").read_text())
    return record, np.load(folder / "explanation.npz")["cam"]


def test_no_flags_find_the_cat_on_the_sample_photo(tmp_path):
    record, cam = _explained(tmp_path)
    assert record["predictions"][0]["answer"] == "cat"
    assert points_at(cam[0], [(0.0, 0.0, 1.0, 0.5)])  # the cat is above, a cup below
    assert cam.shape == (1, 10, 10)


@needs_shared_data
def test_dog_and_cat_are_the_top_two_and_each_map_lies_on_its_animal(tmp_path):
    photo = SHARED_DATA / "original_images" / "cat_dog.jpg"
    record, cam = _explained(tmp_path, input_image_path=str(photo), answer="dog, cat")
    assert {prediction["answer"] for prediction in record["predictions"][:2]} == {"dog", "cat"}
    assert points_at(cam[0], [DOG])
    assert points_at(cam[1], [CAT])


@pytest.mark.parametrize(
    ("question", "answer"), [("Is there a cat?", "yes"), ("Is there a zebra?", "no"), ("What vehicle?", "none")]
)
def test_other_questions_about_the_sample_photo(tmp_path, question, answer):
    assert _explained(tmp_path, question=question)[0]["predictions"][0]["answer"] == answer


def test_the_card_says_what_it_was_trained_on():
    card = load("vqa_lite0").card
    notes = json.loads(card.notes)
    assert notes["trained_by"].startswith("python scripts/train.py --task vqa")
    assert notes["photos"] > 500
    assert "own terms" in card.licence


@pytest.mark.parametrize(
    ("row", "where"),
    [
        ("all template questions", ("templates", "all", "accuracy")),
        ("all template questions", ("templates", "all", "question_only")),
        ("the same, on COCO photos", ("templates_on_coco", "all", "accuracy")),
        ("is there ... (yes or no)", ("templates", "is there", "accuracy")),
        ("what animal", ("templates", "what animal", "accuracy")),
        ("what is this", ("templates", "what is this", "accuracy")),
        ("how many", ("templates", "how many", "accuracy")),
        ("people's questions (VQA v2), VQA accuracy", ("human", "vqa_accuracy")),
        ('inside a box of the thing ("what ...", COCO photos)', ("pointing_game", "accuracy")),
        ('inside a box of the thing ("what ...", COCO photos)', ("pointing_game", "centre")),
        ("in its own half of two animals side by side", ("collages", "accuracy")),
    ],
)
def test_the_card_shows_what_was_measured(row, where):
    record = json.loads((CHECKPOINTS / "vqa_lite0_evaluation.json").read_text())
    figure = functools.reduce(lambda part, key: part[key], where, record)
    card = (CHECKPOINTS / "vqa_lite0.md").read_text()
    (line,) = [line for line in card.splitlines() if line.startswith(f"| {row} |")]
    assert re.search(rf"[| ]{re.escape(f'{figure:.3f}'.removeprefix('0'))}[| ]", line)

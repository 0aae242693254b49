"""The bundled VQA model answers rightly, and its maps lie on what they are about."""

import json

import numpy as np
import pytest

from gradcam_jax.commands.vqa import Options, run
from gradcam_jax.evaluation.pointing import points_at
from gradcam_jax.question_models import load_question_model
from tests.comparison import SHARED_DATA, needs_shared_data

# Where the animals are on the original program's cat_dog.jpg, in fractions, measured by eye.
DOG, CAT = (0.31, 0.04, 0.72, 0.66), (0.15, 0.52, 0.97, 1.0)


def _explained(folder, **options):
    run(Options(out_path=str(folder), **options))
    record = json.loads((folder / "explanation.json").read_text())
    return record, np.load(folder / "explanation.npz")["cam"]


def test_no_flags_find_the_cat_on_the_sample_photo(tmp_path):
    record, cam = _explained(tmp_path)
    assert record["predictions"][0]["answer"] == "cat"
    assert points_at(cam[0], [(0.0, 0.0, 0.52, 1.0)])  # the cat's half
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
    card = load_question_model().card
    notes = json.loads(card.notes)
    assert notes["trained_by"].startswith("python scripts/train.py --task vqa")
    assert notes["photos"] > 500
    assert "own terms" in card.licence

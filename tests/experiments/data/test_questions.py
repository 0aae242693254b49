"""Questions ask only what the annotations decide, and every listed answer is right."""

from pathlib import Path

import numpy as np
import pytest

from gradcam_jax.experiments.data.photos import WHOLE, Box, LabelledBox, Photo
from gradcam_jax.experiments.data.questions import (
    FALSE_PREMISE,
    HOW_MANY,
    IS_THERE,
    WHAT_IS_THIS,
    absent_categories,
    absent_words,
    all_phrasings,
    ask,
)
from gradcam_jax.experiments.data.views import Part, view_of

TWO_DOGS = Photo(
    "coco/1", Path(), (LabelledBox("dog", Box(0, 0, 0.6, 0.6)), LabelledBox("dog", Box(0.6, 0, 1, 0.5))), True
)
BOXER = Photo("x/boxer", Path(), (LabelledBox("dog", WHOLE),), False, 242)
ABACUS = Photo("x/abacus", Path(), (), False, 398)


def _asked(photo: Photo, seeds: int = 40):
    view = view_of(Part(photo))
    return [question for seed in range(seeds) for question in ask([view], np.random.default_rng(seed))]


@pytest.mark.parametrize("photo", [TWO_DOGS, BOXER])
def test_every_kind_has_the_right_answer(photo):
    by_kind = {}
    for question in _asked(photo):
        by_kind.setdefault(question.kind, set()).add(question.answers)
    assert by_kind["what animal"] == {("dog",)}
    assert by_kind[WHAT_IS_THIS] == {("dog",)}
    assert by_kind[FALSE_PREMISE] == {("none",)}
    assert by_kind.get(HOW_MANY, {("2",)}) == {("2",)}


def test_yes_and_no_are_asked_equally_often_and_rightly():
    asked = [question for question in _asked(TWO_DOGS) if question.kind == IS_THERE]
    answers = [question.answers[0] for question in asked]
    assert answers.count("yes") == answers.count("no") > 0
    about_dogs = {q.answers[0] for q in asked if "dog" in q.text.split("hot dog")[0] and "hot" not in q.text}
    assert about_dogs == {"yes"}


def test_a_question_tells_what_it_is_about():
    for question in _asked(TWO_DOGS):
        if question.kind in ("what animal", FALSE_PREMISE):
            assert question.about in question.text
        elif question.kind == HOW_MANY:
            assert question.about == "dog"
        elif question.kind == IS_THERE:
            assert (question.answers == ("yes",)) == (question.about in ("dog", "animal"))
        else:
            assert question.about == ""


def test_one_label_decides_little():
    boxer, abacus = view_of(Part(BOXER)), view_of(Part(ABACUS))
    assert absent_categories(boxer) == {"vehicle", "food"}
    assert absent_categories(abacus) == {"animal"}
    assert "person" not in absent_words(boxer)
    assert "dog" not in absent_words(boxer)
    assert {"cat", "bus", "pizza"} <= absent_words(boxer)


def test_complete_annotations_decide_cocos_words():
    absent = absent_words(view_of(Part(TWO_DOGS)))
    assert {"person", "cat", "tie", "vehicle"} <= absent
    assert not {"dog", "animal"} & absent


def test_another_draw_asks_otherwise():
    views = [view_of(Part(TWO_DOGS))]
    first, again, other = (ask(views, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_phrasings_are_filled_in():
    texts = all_phrasings(["dog", "scissors"])
    assert "How many dogs are there?" in texts
    assert "Is there an animal?" in texts
    assert "Is there scissors?" in texts
    assert not any("{" in text for text in texts)

"""What is on a photo by its captions: named twice, or surely not there."""

from pathlib import Path

import numpy as np
import pytest

from gradcam_jax.experiments.data.captioned_animals import captioned_animals, named_on
from gradcam_jax.experiments.data.captions import CaptionedPhoto
from gradcam_jax.experiments.data.questions import NO, NONE, YES, ask
from gradcam_jax.experiments.data.views import Part, view_of

TWO_DOGS = ("Two dogs play.", "A dog and another dog", "Animals run.")
GIRL = ("A girl smiles.", "A woman in a hat", "Somebody is happy.")


def photo(key, *captions):
    return CaptionedPhoto(f"flickr/{key}", Path(f"{key}.jpg"), captions)


@pytest.mark.parametrize(
    ("captions", "expected"),
    [
        (TWO_DOGS, ("dog",)),
        (GIRL, ("person",)),
        (("A man rides a horse", "A horse and its rider, a woman"), ("horse", "person")),
        (("A dog chases cats", "A cat flees the dog"), ("cat", "dog")),
        (("A dog.", "A puppy.", "An animal."), ()),
        (("A man and a dog", "A man walks."), ()),
        (("A dog in a car", "A car with a dog in it"), ()),
        (("A man in a car", "A car with a man in it"), ("person",)),
        (("The sea.", "Waves."), ()),
    ],
)
def test_two_captions_have_to_agree(captions, expected):
    assert named_on(photo(1, *captions)) == expected


def test_so_many_photos_of_each_animal_and_of_people_are_drawn():
    dogs = [photo(f"dog{number}", *TWO_DOGS) for number in range(30)]
    people = [photo(f"girl{number}", *GIRL) for number in range(20)]
    horse = photo("horse", "A horse.", "Horses", "A white horse")
    photos = [*people, horse, photo("sea", "The sea.", "Waves."), *dogs]
    drawn = captioned_animals(photos, np.random.default_rng(0), most=5, people=3)
    words = [tuple(item.word for item in one.objects) for one in drawn]
    assert sorted(words) == [("dog",)] * 5 + [("horse",)] + [("person",)] * 3
    assert len({one.key for one in drawn}) == 9
    other = captioned_animals(photos, np.random.default_rng(1), most=5, people=3)
    assert {one.key for one in drawn} != {one.key for one in other}


def test_questions_about_them_have_the_answers_that_captions_settle():
    drawn = captioned_animals([photo(1, *TWO_DOGS), photo(2, *GIRL)], np.random.default_rng(0), most=1, people=1)
    views = [view_of(Part(one)) for one in drawn]
    asked = [question for seed in range(20) for question in ask(views, np.random.default_rng(seed))]
    of_people, of_dogs = ([question for question in asked if question.view == view] for view in (0, 1))
    assert {question.answers for question in of_dogs if question.kind == "what animal"} == {("dog",)}
    assert {question.answers for question in of_people if question.about == "animal"} == {(NONE,)}
    named = {question.about for question in of_people if question.answers == (YES,)}
    assert named == {"person"}
    # Captions do not list what is there: no other thing is said to be missing.
    denied = {question.about for question in of_people if question.answers == (NO,)}
    assert "dog" in denied
    assert not denied & {"car", "chair", "pizza", "cup", "person"}

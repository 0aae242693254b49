"""Questions made from what is known to be on a view, each with every answer that is right.

The kinds: what animal (vehicle, food, furniture), the same where there is none (the answer is "none"), what is
this, is there a ... (as many yes as no), how many. Nothing is asked that the annotations do not decide.
"""

import collections
import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gradcam_jax.experiments.data.photos import LabelledBox, Photo
from gradcam_jax.experiments.data.views import View
from gradcam_jax.experiments.data.words import (
    ANIMAL,
    CATEGORIES,
    FOOD,
    FURNITURE,
    OTHER,
    VEHICLE,
    all_words,
    category_of,
    is_animal_class,
    plural,
    with_article,
    words_in,
)

NONE, YES, NO = "none", "yes", "no"

FALSE_PREMISE, WHAT_IS_THIS, IS_THERE, HOW_MANY = "false premise", "what is this", "is there", "how many"

_MOST = 5  # objects counted
_PAIRS = 3  # of yes and no a view, at most
_NAMEABLE = 0.02  # of the view's area: large enough for "what animal is this?"
_DOMINANT = 0.3  # of the view's area: large enough for "what is this?"

_TEMPLATES = {
    "what": (
        "What {category}?",
        "What {category} is this?",
        "What {category} is it?",
        "Which {category} is this?",
        "What {category} is in the picture?",
        "What {category} is in the photo?",
        "What {category} do you see?",
        "What {category} is shown?",
        "What kind of {category} is this?",
        "What kind of {category} is shown?",
        "What type of {category} is in the image?",
        "What is the {category}?",
    ),
    WHAT_IS_THIS: (
        "What is this?",
        "What is it?",
        "What is in the picture?",
        "What is in the photo?",
        "What do you see?",
        "What is shown?",
        "What is shown here?",
        "What's this?",
        "What's that?",
        "What is the main object?",
    ),
    IS_THERE: (
        "Is there {one}?",
        "Is there {one} in the picture?",
        "Is there {one} in the photo?",
        "Is there {one} here?",
        "Is {one} in the image?",
        "Do you see {one}?",
        "Can you see {one}?",
        "Are there any {many}?",
        "Are there {many} in the picture?",
        "Does the photo show {one}?",
    ),
    HOW_MANY: (
        "How many {many}?",
        "How many {many} are there?",
        "How many {many} are in the picture?",
        "How many {many} are in the photo?",
        "How many {many} do you see?",
        "How many {many} can you see?",
    ),
}

# An animal's photo may show a chair that is not annotated, but hardly a bus; and so on.
_SURELY_ABSENT = {ANIMAL: (VEHICLE, FOOD), VEHICLE: (FOOD, FURNITURE, ANIMAL), FOOD: (VEHICLE, ANIMAL)}


class TemplateQuestion(NamedTuple):
    """A question about the view of an index.

    Attributes:
        answers: Every right answer, the largest object first.
        kind: ``"what animal"``, ``"false premise"``, ``"what is this"``, ``"is there"``, ``"how many"``, ...
        about: What the question names: an object's word or a category; empty if it names nothing.
    """

    view: int
    text: str
    answers: tuple[str, ...]
    kind: str
    about: str = ""


def ask(views: Sequence[View], rng: np.random.Generator) -> list[TemplateQuestion]:
    """Returns one draw of questions about some views: another draw asks otherwise, about other objects."""
    questions: list[TemplateQuestion] = []
    for index, view in enumerate(views):
        questions += _what(index, view, rng)
        questions += _what_is_this(index, view, rng)
        questions += _is_there(index, view, rng)
        questions += _how_many(index, view, rng)
    return questions


def phrase(kind: str, word: str, rng: np.random.Generator) -> str:
    """Returns one of a kind's phrasings with the word put in; "what animal" and its like take a category."""
    templates = _TEMPLATES.get(kind, _TEMPLATES["what"])
    return _filled(templates[rng.integers(len(templates))], word)


def all_phrasings(words: Sequence[str]) -> list[str]:
    """Returns every question that could be asked about these words: what a vocabulary is made from."""
    kinds = (("what", CATEGORIES), (WHAT_IS_THIS, ("",)), (IS_THERE, (*words, *CATEGORIES)), (HOW_MANY, words))
    return [
        _filled(template, word) for kind, fillings in kinds for template in _TEMPLATES[kind] for word in fillings
    ]


def _filled(template: str, word: str) -> str:
    return template.format(category=word, one=with_article(word), many=plural(word)) if word else template


def _what(index: int, view: View, rng: np.random.Generator) -> list[TemplateQuestion]:
    questions = []
    for category in CATEGORIES:
        by_area = [item for item in _by_area(view) if category_of(item.word) == category]
        if by_area and by_area[0].box.area >= _NAMEABLE:
            words = dict.fromkeys(item.word for item in by_area)
            kind = f"what {category}"
            questions.append(TemplateQuestion(index, phrase(kind, category, rng), tuple(words), kind, category))
    absent = sorted(absent_categories(view))
    if absent and rng.random() < 0.4:
        category = absent[rng.integers(len(absent))]
        text = phrase(f"what {category}", category, rng)
        questions.append(TemplateQuestion(index, text, (NONE,), FALSE_PREMISE, category))
    return questions


def _what_is_this(index: int, view: View, rng: np.random.Generator) -> list[TemplateQuestion]:
    by_area = _by_area(view)
    if len(view.parts) > 1 or not by_area or by_area[0].box.area < _DOMINANT:
        return []
    others = [item for item in by_area if item.word != by_area[0].word]
    if others and others[0].box.area > 0.5 * by_area[0].box.area:
        return []
    return [TemplateQuestion(index, phrase(WHAT_IS_THIS, "", rng), (by_area[0].word,), WHAT_IS_THIS)]


def _by_area(view: View) -> list[LabelledBox]:
    return sorted(view.objects, key=lambda item: -item.box.area)


def _is_there(index: int, view: View, rng: np.random.Generator) -> list[TemplateQuestion]:
    present = list(dict.fromkeys(item.word for item in view.objects))
    present += sorted({category_of(word) for word in present} & set(CATEGORIES))
    absent = sorted(absent_words(view))
    count = min(len(present), len(absent), _PAIRS)
    if not count:
        return []
    chosen = [(present[i], YES) for i in rng.choice(len(present), count, replace=False)]
    chosen += [(absent[i], NO) for i in rng.choice(len(absent), count, replace=False)]
    return [
        TemplateQuestion(index, phrase(IS_THERE, word, rng), (answer,), IS_THERE, word) for word, answer in chosen
    ]


def _how_many(index: int, view: View, rng: np.random.Generator) -> list[TemplateQuestion]:
    counts = collections.Counter(item.word for item in view.objects)
    sure = sorted(word for word, count in counts.items() if count <= _MOST and word not in view.unsure)
    if not view.complete or len(view.parts) > 1 or not sure:
        return []
    word = sure[rng.integers(len(sure))]
    return [TemplateQuestion(index, phrase(HOW_MANY, word, rng), (str(counts[word]),), HOW_MANY, word)]


def absent_categories(view: View) -> set[str]:
    """Returns the categories of which there is surely nothing on a view."""
    absent: set[str] = set(CATEGORIES)
    for part in view.parts:
        absent &= _absent_from(part.photo)
    seen = {category_of(word) for word in (*(item.word for item in view.objects), *view.unsure)}
    return absent - seen


def absent_words(view: View) -> set[str]:
    """Returns the words, and categories, of which there is surely nothing on a view."""
    categories = absent_categories(view)
    absent = {*categories, *(word for category in CATEGORIES for word in words_in(category))}
    if view.complete:
        absent |= set(_coco_objects())
    else:
        labelled = {category_of(item.word) for item in view.objects}
        # One label a photo: what is of another category may still be there, what is of the same is hardly.
        absent = {word for word in absent if category_of(word) in categories | labelled | {ANIMAL}} | categories
    absent -= {item.word for item in view.objects} | view.unsure
    return absent - {category for category in CATEGORIES if category not in categories}


def _absent_from(photo: Photo) -> set[str]:
    if photo.complete:
        return set(CATEGORIES)
    if photo.class_index is not None and is_animal_class(photo.class_index):
        return set(_SURELY_ABSENT[ANIMAL])
    surely: set[str] = {ANIMAL}
    for item in photo.objects:
        surely |= set(_SURELY_ABSENT.get(category_of(item.word), ()))
    return surely


@functools.cache
def _coco_objects() -> tuple[str, ...]:
    """Returns COCO's words of no category: a photo without such an object among its boxes has none."""
    return tuple(row.word for row in all_words() if row.coco and row.category == OTHER)


@functools.cache
def askable_words() -> tuple[str, ...]:
    """Returns every word that a question may name."""
    named = [word for category in CATEGORIES for word in words_in(category)]
    return tuple(dict.fromkeys([*named, *_coco_objects()]))

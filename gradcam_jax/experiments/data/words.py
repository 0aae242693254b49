"""The everyday words that template questions ask for, and what ILSVRC, COCO and Pascal VOC call the same objects.

``words.csv`` is the table. ILSVRC's classes are finer than everyday words ("boxer", "tabby") and are grouped; they
stand as WordNet ids, a range of them for all between in ILSVRC's order. A class whose group would have fewer than
three members is left out, since a word seen on one photo cannot be learnt. COCO's and VOC's names are used as
they are, apart from those that nobody says ("dining table", "tvmonitor").
"""

import csv
import functools
import importlib.resources
from typing import NamedTuple

from gradcam_jax.text.ilsvrc import imagenet_classes

ANIMAL, VEHICLE, FOOD, FURNITURE, OTHER = "animal", "vehicle", "food", "furniture", "other"

CATEGORIES = (ANIMAL, VEHICLE, FOOD, FURNITURE)
"""The kinds of objects that "what ... is this?" can ask for."""


class Word(NamedTuple):
    """A row of the table: a word in the singular, its 0-based ILSVRC classes, COCO's and VOC's name or empty."""

    word: str
    category: str
    classes: tuple[int, ...]
    coco: str
    voc: str


_PLURALS = {"fish": "fish", "sheep": "sheep", "person": "people", "couch": "couches", "bench": "benches"} | {
    word: word for word in ("broccoli", "bread", "scissors", "skis", "squash", "food", "furniture")
}


@functools.cache
def all_words() -> tuple[Word, ...]:
    """Reads the table, in a fixed order."""
    table = importlib.resources.files("gradcam_jax.experiments.data") / "words.csv"
    rows = csv.DictReader(table.read_text(encoding="utf-8").splitlines())
    return tuple(
        Word(row["word"], row["category"], _classes(row["ilsvrc_classes"]), row["coco"], row["voc"])
        for row in rows
    )


def word_of_ilsvrc(index: int) -> str | None:
    """Returns the everyday word for a 0-based ILSVRC class, or None if it has none.

    Example:
        >>> word_of_ilsvrc(242), word_of_ilsvrc(281), word_of_ilsvrc(398)
        ('dog', 'cat', None)
    """
    return _by_class().get(index)


def is_animal_class(index: int) -> bool:
    """Tells whether a 0-based ILSVRC class is an animal, named by a word or not: the first 398 are."""
    return index < 398


def word_of_category(name: str) -> str:
    """Returns the everyday word for a category of COCO's or of Pascal VOC's, else its name.

    Example:
        >>> word_of_category("tvmonitor"), word_of_category("dining table"), word_of_category("axolotl")
        ('tv', 'table', 'axolotl')
    """
    return next((row.word for row in all_words() if name in (row.coco, row.voc)), name)


def classes_of(word: str) -> tuple[int, ...]:
    """Returns the 0-based ILSVRC classes of a word; none if it has none.

    Example:
        >>> classes_of("cat"), classes_of("person")
        ((281, 282, 283, 284, 285), ())
    """
    return next((row.classes for row in all_words() if row.word == word), ())


@functools.cache
def category_of(word: str) -> str:
    """Returns a word's category: animal, vehicle, food, furniture or other."""
    return next((row.category for row in all_words() if row.word == word), OTHER)


@functools.cache
def words_in(category: str) -> tuple[str, ...]:
    """Returns the words of a category, in a fixed order."""
    return tuple(row.word for row in all_words() if row.category == category)


def plural(word: str) -> str:
    """Returns a word's plural.

    Example:
        >>> plural("dog"), plural("bus"), plural("person"), plural("butterfly")
        ('dogs', 'buses', 'people', 'butterflies')
    """
    if word in _PLURALS:
        return _PLURALS[word]
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")


def with_article(word: str) -> str:
    """Returns a word with its indefinite article.

    Example:
        >>> with_article("dog"), with_article("elephant"), with_article("scissors")
        ('a dog', 'an elephant', 'scissors')
    """
    if _PLURALS.get(word) == word and word not in ("fish", "sheep"):
        return word
    return ("an " if word[0] in "aeiou" else "a ") + word


@functools.cache
def _by_class() -> dict[int, str]:
    return {index: row.word for row in all_words() for index in row.classes}


def _classes(ranges: str) -> tuple[int, ...]:
    """Reads closed ranges of WordNet ids: ``"n01440764-n01443537 n02514041"`` is 0, 1 and 389."""
    places = {class_.wnid: class_.index for class_ in imagenet_classes()}
    ends = [[places[end] for end in part.split("-")] for part in ranges.split()]
    return tuple(index for pair in ends for index in range(pair[0], pair[-1] + 1))

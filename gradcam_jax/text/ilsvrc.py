"""The 1000 ILSVRC classes, in Caffe's and torchvision's order, and the names that a user may give one.

Each has a WordNet id, a short name, and the other nouns that WordNet has for it.
"""

import csv
import functools
import importlib.resources
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gradcam_jax.errors import InputError, nearest

_LISTED = 12  # classes that a message names


class ImageNetClass(NamedTuple):
    """One class: its 0-based index, its WordNet id (empty for one that is not ILSVRC's) and its short name."""

    index: int
    wnid: str
    name: str

    @property
    def label(self) -> int:
        """The original program's 1-based number, used on the command line and in file names."""
        return self.index + 1


@functools.cache
def imagenet_classes() -> tuple[ImageNetClass, ...]:
    """Returns all classes by index.

    Example:
        >>> imagenet_classes()[242]
        ImageNetClass(index=242, wnid='n02108089', name='boxer')
    """
    return tuple(ImageNetClass(int(row["class_index"]), row["wnid"], row["name"]) for row in _rows())


@functools.cache
def synonyms() -> Mapping[str, tuple[str, ...]]:
    """Returns the other nouns that WordNet has for each class, by its id.

    Example:
        >>> synonyms()["n02123045"]
        ('tabby cat',)
    """
    return {row["wnid"]: tuple(filter(None, row["synonyms"].split("; "))) for row in _rows()}


def classes_named(names: Sequence[str]) -> tuple[ImageNetClass, ...]:
    """Returns the classes of a model's labels: ILSVRC's with their ids, or a checkpoint's own."""
    ilsvrc = imagenet_classes()
    if len(names) == len(ilsvrc) and all(name.startswith(c.name) for name, c in zip(names, ilsvrc, strict=True)):
        return ilsvrc
    return tuple(ImageNetClass(index, "", name) for index, name in enumerate(names))


def find_class(text: str, classes: Sequence[ImageNetClass] = ()) -> ImageNetClass:
    """Returns the class that a user named.

    Args:
        text: A 1-based number as in the original program ("243"), a WordNet id ("n02108089"), or a name
            ("boxer"; case, blanks, hyphens and underscores do not matter); of an ILSVRC class also another of
            WordNet's nouns for it ("tabby cat").
        classes: The model's; ILSVRC's unless given.

    Raises:
        InputError: If there is no such class (those whose names have the word in them are listed, or the nearest
            names), or a name means two (both are).

    Example:
        >>> find_class("243").name, find_class("Tiger_Cat").label, find_class("n02123045").name
        ('boxer', 283, 'tabby')
    """
    classes = classes or imagenet_classes()
    name = text.strip()
    try:
        number = int(name)
    except ValueError:
        pass
    else:
        if not 1 <= number <= len(classes):
            raise InputError(
                f"Expected a label from 1 to {len(classes)} (1-based, as in Caffe's list; -1 is the predicted "
                f"class), got {number} instead."
            )
        return classes[number - 1]
    matches = [c for c in classes if name in (c.wnid, c.name) or _letters(name) == _letters(c.name)]
    matches = matches or [c for c in classes if _letters(name) in map(_letters, _names(c))]
    if len(matches) == 1:
        return matches[0]
    if matches:
        choices = " or ".join(f"{c.label} ({c.wnid})" for c in matches)
        raise InputError(f"The name {name!r} means two classes. Name one by its number or id: {choices}.")
    raise InputError(f"There is no class {name!r}. " + _suggestion(name, classes))


def containing(text: str, classes: Sequence[ImageNetClass] = ()) -> list[ImageNetClass]:
    """Returns the classes whose name or synonym has the words in it, singular or plural; else its letters.

    Those that have them in their short names come first.

    Example:
        >>> [class_.name for class_ in containing("poodles")]
        ['toy poodle', 'miniature poodle', 'standard poodle']
    """
    classes, words = classes or imagenet_classes(), _words(text)
    if not words:
        return []
    whole = [c for c in classes if any(f" {words} " in f" {_words(name)} " for name in _names(c))]
    if whole:
        return sorted(whole, key=lambda c: words not in _words(c.name))
    return [c for c in classes if len(words) > 2 and any(words in _words(name) for name in _names(c))]


def _suggestion(name: str, classes: Sequence[ImageNetClass]) -> str:
    found = containing(name, classes)
    listing = ", ".join(f"{c.name} ({c.label})" for c in found[:_LISTED])
    if found:
        more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
        return f"With this word there are: {listing}{more}. Name those to explain, or their numbers."
    labels = {c.name: c.label for c in classes}
    near = ", ".join(f"{other} ({labels[other]})" for other in nearest(name, labels))
    return f"Nearest: {near}." if near else "Try its number."


def _names(class_: ImageNetClass) -> tuple[str, ...]:
    return class_.name, *synonyms().get(class_.wnid, ())


def _words(text: str) -> str:
    words = re.findall(r"[^\W_]+", text.casefold())
    return " ".join(word.removesuffix("s") if len(word) > 3 else word for word in words)


def _rows() -> list[dict[str, str]]:
    table = importlib.resources.files("gradcam_jax.text") / "ilsvrc_classes.csv"
    return list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())

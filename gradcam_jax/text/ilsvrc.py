"""The 1000 ILSVRC classes, in Caffe's and torchvision's order, and the names that a user may give one."""

import csv
import functools
import importlib.resources
from collections.abc import Sequence
from typing import NamedTuple

from gradcam_jax.errors import InputError, nearest


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
    table = importlib.resources.files("gradcam_jax.text") / "ilsvrc_classes.csv"
    rows = csv.DictReader(table.read_text(encoding="utf-8").splitlines())
    return tuple(ImageNetClass(int(row["class_index"]), row["wnid"], row["name"]) for row in rows)


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
            ("boxer"; case, blanks, hyphens and underscores do not matter).
        classes: The model's; ILSVRC's unless given.

    Raises:
        InputError: If there is no such class (the nearest names are listed), or a name means two (both are).

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
    if len(matches) == 1:
        return matches[0]
    if matches:
        choices = " or ".join(f"{c.label} ({c.wnid})" for c in matches)
        raise InputError(f"The name {name!r} means two classes. Name one by its number or id: {choices}.")
    labels = {c.name: c.label for c in classes}
    near = ", ".join(f"{other} ({labels[other]})" for other in nearest(name, labels))
    raise InputError(f"There is no class {name!r}." + (f" Nearest: {near}." if near else " Try its number."))


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())

"""Photos of which people's captions tell what animals are on them: many more than have boxes or a class.

Captions do not list what is there. So an animal is on a photo if two captions name it, and there is none if no
caption names one; photos about which captions disagree are left out.
"""

import collections
import functools
from collections.abc import Sequence

import numpy as np

from gradcam_jax.experiments.data.captions import CaptionedPhoto, training_words
from gradcam_jax.experiments.data.located_captions import nouns_of
from gradcam_jax.experiments.data.photos import WHOLE, LabelledBox, Photo
from gradcam_jax.experiments.data.words import ANIMAL, VEHICLE, plural, words_in

PERSON = "person"

_SURE = 2  # captions
_COMMON = "dog"  # by far the most of people's photos of animals


def captioned_animals(
    captioned: Sequence[CaptionedPhoto], rng: np.random.Generator, *, most: int, people: int
) -> list[Photo]:
    """Returns photos whose objects are the animals and the person that captions name, somewhere on the photo.

    A photo of an animal where a vehicle is named too is left out: questions take it that such a photo has none.

    Args:
        captioned: Photos with captions.
        rng: Draws which ones, where there are more than are wanted.
        most: Photos of each animal, at most; one of a dog and another animal counts for the other.
        people: Photos of people and no animal, at most.
    """
    groups: dict[str, list[Photo]] = collections.defaultdict(list)
    for photo in captioned:
        words = named_on(photo)
        if words:
            animals = [word for word in words if word != PERSON]
            group = min(animals, default="", key=lambda word: (word == _COMMON, word))
            objects = tuple(LabelledBox(word, WHOLE) for word in words)
            groups[group].append(Photo(photo.key, photo.path, objects, complete=False, load=photo.load))
    drawn = []
    for group, photos in sorted(groups.items()):
        kept = rng.permutation(len(photos))[: most if group else people]
        drawn += [photos[index] for index in sorted(kept.tolist())]
    return drawn


def named_on(photo: CaptionedPhoto) -> tuple[str, ...]:
    """Returns the animals on a photo, and whether there is a person; nothing where that is not sure.

    Example:
        >>> from pathlib import Path
        >>> named_on(CaptionedPhoto("1", Path(), ("Two dogs run.", "A dog and a man", "A boy and his dog")))
        ('dog', 'person')
        >>> named_on(CaptionedPhoto("2", Path(), ("A dog.", "A puppy.", "An animal.")))
        ()
    """
    texts = [set(training_words(text)) for text in photo.captions]
    animals, vehicles = _nouns(ANIMAL), _nouns(VEHICLE)
    counts = collections.Counter(
        animal for words in texts for animal in {animals[w] for w in words & animals.keys()}
    )
    people = sum(bool(words & set(nouns_of(PERSON, 2))) for words in texts)
    sure = people != 1 and all(count >= _SURE for count in counts.values())
    if not sure or (counts and any(words & vehicles.keys() for words in texts)):
        return ()
    return (*sorted(counts), *([PERSON] if people else []))


@functools.cache
def _nouns(category: str) -> dict[str, str]:
    """Returns what each noun of a category, one or several, is a word for."""
    return {noun: word for word in words_in(category) for noun in (word, plural(word))}

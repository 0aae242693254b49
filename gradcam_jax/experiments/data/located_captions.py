"""Captions with a noun that names an object in a known place: what a captioner's maps are trained on.

Few photos have both captions and boxes. So a noun stands in one of three captions: one that people wrote of this
very photo, one that they wrote of another photo, or a template. A caption of another photo need not fit: the map
of the noun has to lie on its object whatever words come before.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gradcam_jax.evaluation.pointing import inside_boxes
from gradcam_jax.experiments.data.captioned_views import CaptionedView
from gradcam_jax.experiments.data.captions import CaptionedPhoto, training_words
from gradcam_jax.experiments.data.photos import Box, Photo
from gradcam_jax.experiments.data.splits import split_of_boxed
from gradcam_jax.experiments.data.views import Part, View, collage_views, training_views, view_of
from gradcam_jax.experiments.data.words import plural, with_article
from gradcam_jax.text.vocabulary import Vocabulary

LENGTH = 8
"""Words of a located caption up to its noun, the noun included, at most."""

LARGEST = 0.7
"""Of the view's area: on an object that fills the view every map lies."""

_FILLS = 0.3  # of a view's area: an object large enough to be pasted on another photo
_PERSON = ("person", "man", "woman", "boy", "girl", "child")
_PEOPLE = ("people", "men", "women", "boys", "girls", "children")


class Region(NamedTuple):
    """Where a view's objects of a kind lie.

    Attributes:
        view: The view's index.
        kind: The kind's.
        inside: Whether each cell of the map is on one of them, ``(cells * cells,)`` bool.
    """

    view: int
    kind: int
    inside: np.ndarray


def is_located(view: View) -> bool:
    """Tells whether a view has an object with a box that is smaller than the view."""
    boxed = len(view.parts) > 1 or view.complete
    return boxed and any(item.box.area < LARGEST for item in view.objects)


def nouns_of(word: str, count: int) -> tuple[str, ...]:
    """Returns what captions call so many objects of a word.

    Example:
        >>> nouns_of("dog", 1), nouns_of("dog", 2), nouns_of("person", 1)[:3]
        (('dog',), ('dog', 'dogs'), ('person', 'man', 'woman'))
    """
    if word == "person":
        return _PERSON + (_PEOPLE if count > 1 else ())
    return (word, plural(word)) if count > 1 else (word,)


def located_views(
    photos: Sequence[Photo],
    templates: Sequence[CaptionedView],
    captioned: Sequence[CaptionedPhoto],
    rng: np.random.Generator,
    *,
    made: int,
) -> list[View]:
    """Returns training views with objects in known places.

    Photos with boxes, whole, cropped and mirrored; the collages among the template views, and so many more that
    are ``made``; as many photos with an object of another one pasted on them.
    """
    photos = [photo for photo in photos if split_of_boxed(photo.key) == "train"]
    views = training_views([photo for photo in photos if photo.complete], rng, collages=0)
    views += [template.view for template in templates if len(template.view.parts) > 1]
    views += collage_views(photos, rng, made)
    views += _insets(photos, captioned, rng, made)
    return [view for view in views if is_located(view)]


def _insets(
    photos: Sequence[Photo], captioned: Sequence[CaptionedPhoto], rng: np.random.Generator, count: int
) -> list[View]:
    """Returns photos with another photo's object pasted on them, of a kind that their captions do not name."""
    cut = [
        (view.parts[0], view.objects[0].word)
        for view in training_views(photos, rng, collages=0)
        if len(view.objects) == 1 and view.objects[0].box.area > _FILLS
    ]
    views: list[View] = []
    for _ in range(count if cut and captioned else 0):
        part, word = cut[int(rng.integers(len(cut)))]
        ground = captioned[int(rng.integers(len(captioned)))]
        if not set(nouns_of(word, 2)) & set(training_words(" ".join(ground.captions))):
            width, height = rng.uniform(0.25, 0.6) * rng.uniform(0.8, 1.2, 2)
            left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
            place = Box(float(left), float(top), float(left + width), float(top + height))
            behind = Photo(ground.key, ground.path, (), complete=False, load=ground.load)
            views.append(view_of(Part(behind), part._replace(place=place)))
    return views


class LocatedCaptions:
    """Draws captions with a located noun for views whose objects are known."""

    def __init__(
        self, views: Sequence[View], captioned: Sequence[CaptionedPhoto], vocabulary: Vocabulary, cells: int
    ) -> None:
        """Takes the views, the training photos' captions, the words that are known, and the side of a map."""
        self._views, self._vocabulary, self._cells = views, vocabulary, cells
        self._own = {photo.key: [training_words(text) for text in photo.captions] for photo in captioned}
        self._naming: dict[str, list[list[str]]] = {}
        for words in (words for texts in self._own.values() for words in texts):
            for place, word in enumerate(words[:LENGTH]):
                self._naming.setdefault(word, []).append(words[: place + 1])
        self.kinds = sorted({item.word for view in views for item in view.objects})

    def draw(self, rng: np.random.Generator, count: int) -> Mapping[str, np.ndarray]:
        """Returns so many examples.

        ``view (count,)``, its index; ``tokens (count, LENGTH)``, the caption up to the noun, and END past it;
        ``noun (count,)``, the noun's place; ``inside (count, cells * cells)`` bool.
        """
        examples: list[tuple[int, list[str], np.ndarray]] = []
        while len(examples) < count:
            index = int(rng.integers(len(self._views)))
            words, inside = self._caption(self._views[index], rng)
            if words and len(words) <= LENGTH and 0 < inside.mean() < LARGEST:
                examples.append((index, words, inside))
        tokens = np.full((count, LENGTH), len(self._vocabulary), np.int32)
        for row, (_, words, _) in enumerate(examples):
            tokens[row, : len(words)] = [self._vocabulary.index(word) for word in words]
        return {
            "view": np.array([index for index, *_ in examples], np.int32),
            "tokens": tokens,
            "noun": np.array([len(words) - 1 for _, words, _ in examples], np.int32),
            "inside": np.stack([inside for *_, inside in examples]),
        }

    def regions(self) -> Iterator[Region]:
        """Yields where the objects of each kind lie on each view that has some."""
        for index, view in enumerate(self._views):
            for word in sorted({item.word for item in view.objects}):
                yield Region(index, self.kinds.index(word), self._inside(word, view))

    def _inside(self, word: str, view: View) -> np.ndarray:
        boxes = [item.box for item in view.objects if item.word == word]
        return inside_boxes(boxes, (self._cells, self._cells)).reshape(-1)

    def _caption(self, view: View, rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
        """Returns a caption that ends with a noun, empty if there is none, and the cells of what it names."""
        words = sorted({item.word for item in view.objects})
        word = words[rng.integers(len(words))]
        count = sum(item.word == word for item in view.objects)
        nouns = [noun for noun in nouns_of(word, count) if noun.split()[-1] in self._vocabulary]
        if not nouns:
            return [], np.zeros(1)
        noun = nouns[rng.integers(len(nouns))]
        named = (with_article(noun) if noun in nouns_of(word, 1) else noun).split()
        return self._up_to(noun, named, view, rng), self._inside(word, view)

    def _up_to(self, noun: str, named: list[str], view: View, rng: np.random.Generator) -> list[str]:
        """Returns a caption up to a noun: of this photo or of another, or a template with it as ``named``."""
        own = self._own.get(view.parts[0].photo.key, []) if len(view.parts) == 1 else []
        own = [words[: words.index(noun) + 1] for words in own if noun in words[:LENGTH]]
        others = self._naming.get(noun, [])
        kind = rng.random()
        if own and kind < 0.4:
            return own[rng.integers(len(own))]
        if others and kind < 0.7:
            return others[rng.integers(len(others))]
        if kind < 0.85:
            return named
        first = self.kinds[rng.integers(len(self.kinds))]
        return [*with_article(first).split(), "and", *named]

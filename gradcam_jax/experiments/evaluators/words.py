"""Measures where a captioner's words look: on collages of two animals, and in the boxes of COCO's objects."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.evaluation.pointing import (
    CENTRE,
    inside_boxes,
    inside_over_outside,
    lies_in,
    points_at,
    points_within,
)
from gradcam_jax.experiments.data.captioned_views import subject_of
from gradcam_jax.experiments.data.captions import CaptionedPhoto, training_words
from gradcam_jax.experiments.data.photos import Box, Photo
from gradcam_jax.experiments.data.splits import split_of_boxed
from gradcam_jax.experiments.data.views import Part, render, two_animal_collages, view_of
from gradcam_jax.experiments.data.words import plural, with_article
from gradcam_jax.experiments.evaluators.findings import Finding
from gradcam_jax.experiments.evaluators.maps import enlarged, maps_of, word_maps
from gradcam_jax.experiments.evaluators.sheets import MAPS, BoxedMap, save_ranked_maps
from gradcam_jax.models.captioner import MAX_WORDS
from gradcam_jax.tasks.captioning import captioning
from gradcam_jax.tasks.task import Task
from gradcam_jax.text.captions import decode_tokens
from gradcam_jax.zoo import Loaded

_COLLAGES = 120
_SEED = 123


def word_pointing(loaded: Loaded, known: Sequence[Photo]) -> Iterator[Finding]:
    """Yields how often an animal's word points at its half of a collage of two animals from the test photos.

    Args:
        loaded: The captioner.
        known: Photos whose objects are known, of every split.
    """
    collages = [
        (view, [str(subject_of(part)) for part in view.parts])
        for view in two_animal_collages(_of_tests(known), np.random.default_rng(_SEED), _COLLAGES)
        if all(_is_known(word, loaded) for word in map(subject_of, view.parts))
    ]
    if not collages:
        raise InputError("There are no two animals in the test photos that the captioner knows.")
    orders = [
        (view, {words[half]: view.parts[half].place for half in order})
        for view, words in collages
        for order in ((0, 1), (1, 0))
    ]
    task = captioning(loaded)
    cams = word_maps(
        task,
        lambda row: render(orders[row][0], task.size),
        [(" and ".join(map(with_article, places)), places) for _, places in orders],
    )
    hits = [
        points_at(cam, [place])
        for cams_of_caption, (_, places) in zip(cams, orders, strict=True)
        for cam, place in zip(cams_of_caption, places.values(), strict=True)
    ]
    tokens = maps_of(task, lambda row: render(collages[row][0], task.size), [{}] * len(collages), result="tokens")
    names_both = [
        set(" ".join(words).split()) <= set(decode_tokens(row, loaded.words).split())
        for row, (_, words) in zip(tokens, collages, strict=True)
    ]
    yield (
        "word_pointing",
        {
            "collages": len(collages),
            "words": len(hits),
            "size": task.size,
            "words_on_their_half": float(np.mean(hits)),
            "chance": 0.5,
            "generated_caption_names_both": float(np.mean(names_both)),
        },
    )


def inside_over_outside_of_boxes(
    loaded: Loaded,
    known: Sequence[Photo],
    captioned: Sequence[CaptionedPhoto],
    *,
    pictures: Path | None = None,
) -> Iterator[Finding]:
    """Yields a word's map inside the boxes of what it names over its map outside: the paper's caption test.

    The paper has boxes with a caption each (DenseCap's); here the words are those of people's captions that name
    a kind of object of which the photo has boxes. Found are the numbers of photos and words, the mean and the
    median of the ratio (1 for a flat map), and the share of words over 1; no ratio where no photo has both
    captions and boxes. Found too is how often a word's map is highest in a box, and how often the photo's centre,
    which knows nothing, lies in one; then both again with the pointing game's usual tolerance of 15 pixels. The
    same is yielded of more photos and words, since few photos have both: every kind of object with boxes, in the
    caption that only names it, ``"a dog"``.

    Args:
        loaded: The captioner.
        known: Photos whose objects are known, of every split.
        captioned: The captioned test photos.
        pictures: A folder for a picture of the best, middle and worst maps.
    """
    task = captioning(loaded)
    grid = task.size, task.size
    photos = {photo.key: photo for photo in _of_tests(known) if photo.complete}
    people = [
        (photos[photo.key], " ".join(training_words(text)[:MAX_WORDS]))
        for photo in captioned
        if photo.key in photos
        for text in photo.captions
    ]
    templates = [
        (photo, with_article(word))
        for photo in photos.values()
        for word in sorted({item.word for item in view_of(Part(photo)).objects})
    ]
    found = _maps_of_nouns(task, loaded, people)
    yield "inside_over_outside", _figures(found, grid)
    yield "inside_over_outside_of_templates", _figures(_maps_of_nouns(task, loaded, templates), grid)
    if pictures and found:
        yield "maps_by_rank", save_ranked_maps(found, pictures / MAPS)


def _maps_of_nouns(task: Task, loaded: Loaded, captions: Sequence[tuple[Photo, str]]) -> list[BoxedMap]:
    """Explains the words of captions that name objects of their photos."""
    grid = task.size, task.size
    named = [_named_boxes(photo, caption, loaded, grid) for photo, caption in captions]
    rows = [(photo, caption, boxes) for (photo, caption), boxes in zip(captions, named, strict=True) if boxes]
    cams = word_maps(
        task,
        lambda row: render(view_of(Part(rows[row][0])), task.size),
        [(caption, boxes) for _, caption, boxes in rows],
    )
    return [
        BoxedMap(word, photo.key, functools.partial(render, view_of(Part(photo)), task.size), cam, places)
        for cams_of_caption, (photo, _, boxes) in zip(cams, rows, strict=True)
        for cam, (word, places) in zip(cams_of_caption, boxes.items(), strict=True)
    ]


def _figures(found: Sequence[BoxedMap], grid: tuple[int, int]) -> dict[str, Any]:
    """Returns what :func:`inside_over_outside_of_boxes` finds, of maps enlarged to so many rows and columns."""
    figures: dict[str, Any] = {"photos": len({one.photo for one in found}), "words": len(found), "flat_map": 1.0}
    if found:
        maps = [enlarged(one.cam, grid) for one in found]
        masks = [inside_boxes(one.boxes, grid) for one in found]
        centre = np.zeros(grid)
        centre[grid[0] // 2, grid[1] // 2] = 1
        ratios = [inside_over_outside(cam, mask) for cam, mask in zip(maps, masks, strict=True)]
        near = [points_within(np.maximum(cam, 0), mask) for cam, mask in zip(maps, masks, strict=True)]
        figures |= {
            "mean": float(np.mean([ratio for ratio in ratios if np.isfinite(ratio)])),
            "median": float(np.median(ratios)),
            "over_one": float(np.mean(np.array(ratios) > 1)),
            "pointing": float(np.mean([points_at(one.cam, one.boxes) for one in found])),
            "pointing_of_the_centre": float(np.mean([lies_in(CENTRE, one.boxes) for one in found])),
            "pointing_within_15_pixels": float(np.mean(near)),
            "centre_within_15_pixels": float(np.mean([points_within(centre, mask) for mask in masks])),
        }
    return figures


def _named_boxes(photo: Photo, caption: str, loaded: Loaded, grid: tuple[int, int]) -> dict[str, list[Box]]:
    """Returns the words of a caption that name objects of a photo, and where these lie; not if everywhere."""
    boxes: dict[str, list[Box]] = {}
    for item in photo.objects:
        for word in {item.word, plural(item.word)} & set(caption.split()):
            if _is_known(word, loaded):
                boxes.setdefault(word, []).append(item.box)
    masks = {word: inside_boxes(places, grid) for word, places in boxes.items()}
    return {word: boxes[word] for word, mask in masks.items() if mask.any() and not mask.all()}


def _of_tests(photos: Sequence[Photo]) -> list[Photo]:
    return [photo for photo in photos if split_of_boxed(photo.key) == "test"]


def _is_known(word: str | None, loaded: Loaded) -> bool:
    return word is not None and all(part in loaded.words for part in word.split())

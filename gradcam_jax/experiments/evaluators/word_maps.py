"""Measures where a captioner's words look: on collages of two animals, and in the boxes of COCO's things."""

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.app.captioning import EXPLAINING_SIZE, LENGTH_EXPONENT
from gradcam_jax.attribution.resize import resize_corner_aligned
from gradcam_jax.errors import InputError
from gradcam_jax.evaluation.captions import inside_boxes, inside_over_outside
from gradcam_jax.evaluation.pointing import points_at
from gradcam_jax.experiments.data.captioned_views import read_captioned_photos, subject_of
from gradcam_jax.experiments.data.captions import split_of_things, training_words
from gradcam_jax.experiments.data.photos import Box, Photo, read_photos
from gradcam_jax.experiments.data.views import Part, View, render, two_animal_collages, view_of
from gradcam_jax.experiments.data.words import plural, with_article
from gradcam_jax.images.preprocessing import to_network
from gradcam_jax.tasks.captioning import explain_maps, write_captions
from gradcam_jax.text.captions import UnknownWordsWarning, encode_caption, find_phrase, span_mask
from gradcam_jax.zoo import captioners
from gradcam_jax.zoo.captioners import LoadedCaptioner

_COLLAGES = 120
_SEED = 123

WordCams = Callable[[View, str, Sequence[str]], list[np.ndarray]]


def pointing_figures(captioner: LoadedCaptioner, data: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Asks on collages of two animals whether each animal's word points at its half.

    Args:
        captioner: The captioner.
        data: The folder with photos whose things are known; those kept for tests are used.
        say: Takes the line of the report.

    Raises:
        InputError: If no such photos show two animals that the captioner knows.
    """
    size, word_cams = _size(captioner), word_cams_of(captioner)
    write = jax.jit(functools.partial(write_captions, captioner.model, width=3, length_exponent=LENGTH_EXPONENT))
    hits, named, asked = [], 0, 0
    for view in two_animal_collages(_test_photos(data), np.random.default_rng(_SEED), _COLLAGES):
        words = [subject_of(part) for part in view.parts]
        if any(word is None or not _is_known(word, captioner) for word in words):
            continue
        asked += 1
        for order in ((0, 1), (1, 0)):
            pair = [str(words[index]) for index in order]
            caption = " and ".join(map(with_article, pair))
            cams = word_cams(view, caption, pair)
            hits += [points_at(cam, [view.parts[index].place]) for cam, index in zip(cams, order, strict=True)]
        image = to_network(jnp.asarray(render(view, size)), captioner.entry.recipe)
        tokens = np.asarray(write(captioner.variables, image).tokens[0])
        said = {captioner.vocabulary.entries[token] for token in tokens if token < len(captioner.vocabulary)}
        named += all(set(str(word).split()) <= said for word in words)
    if not asked:
        raise InputError(f"There are no two animals in the test photos of {data!r} that the captioner knows.")
    figures = {
        "collages": asked,
        "words": len(hits),
        "size": size,
        "words_on_their_half": float(np.mean(hits)),
        "chance": 0.5,
        "generated_caption_names_both": named / asked,
    }
    say(
        f"word pointing: {figures['words_on_their_half']:.3f} of {len(hits)} words on their half of {asked} "
        f"collages (chance .5); the generated caption names both in {named} of {asked}"
    )
    return figures


def box_figures(captioner: LoadedCaptioner, data: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Compares the map of a word inside the boxes of what it names with the map outside: the paper's caption test.

    The paper has boxes with a caption each (DenseCap's); here the words are those of people's captions that name
    a kind of thing of which the photo has boxes.

    Args:
        captioner: The captioner.
        data: The folder; photos kept for tests that have both captions and boxes are used.
        say: Takes the line of the report.

    Returns:
        Numbers of photos and words, the mean and the median of the ratio (1 for a flat map), and the share of
        words over 1; no ratio where no photo has both captions and boxes.
    """
    word_cams, size = word_cams_of(captioner), _size(captioner)
    boxed = {photo.key: photo for photo in _test_photos(data) if photo.complete}
    ratios, shown = [], 0
    for photo in read_captioned_photos(data)["test"]:
        if photo.key not in boxed:
            continue
        before = len(ratios)
        for text in photo.captions:
            caption = " ".join(training_words(text)[: captioners.MAX_WORDS])
            for word, boxes in _named_things(boxed[photo.key], caption, captioner).items():
                (cam,) = word_cams(view_of(Part(boxed[photo.key])), caption, [word])
                heatmap = np.asarray(resize_corner_aligned(jnp.maximum(cam, 0), (size, size)))
                inside = inside_boxes(boxes, (size, size))
                if inside.any() and not inside.all():
                    ratios.append(inside_over_outside(heatmap, inside))
        shown += len(ratios) > before
    figures: dict[str, Any] = {"photos": shown, "words": len(ratios), "flat_map": 1.0}
    if ratios:
        finite = [ratio for ratio in ratios if np.isfinite(ratio)]
        figures |= {
            "mean": float(np.mean(finite)),
            "median": float(np.median(ratios)),
            "over_one": float(np.mean(np.array(ratios) > 1)),
        }
        say(
            f"inside over outside of the boxes: median {figures['median']:.2f}, mean {figures['mean']:.2f} over "
            f"{len(ratios)} words on {shown} photos (a flat map: 1)"
        )
    return figures


def word_cams_of(captioner: LoadedCaptioner) -> WordCams:
    """Returns ``word_cams(view, caption, words)``: the signed map of each word of a caption, ``(h, w)``."""
    size = _size(captioner)
    layer = captioners.find_layer(captioner, "", size)
    explain = jax.jit(functools.partial(explain_maps, captioner.model), static_argnums=1)

    def word_cams(view: View, text: str, words: Sequence[str]) -> list[np.ndarray]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnknownWordsWarning)  # people's rare words, read as UNK as in training
            caption = encode_caption(text, captioner.vocabulary)
        masks = np.stack([span_mask(*find_phrase(word, caption.words)) for word in words])
        image = to_network(jnp.asarray(render(view, size)), captioner.entry.recipe)
        return list(np.asarray(explain(captioner.variables, layer, image, caption.tokens, masks)))

    return word_cams


def _named_things(photo: Photo, caption: str, captioner: LoadedCaptioner) -> dict[str, list[Box]]:
    """Returns the words of a caption that name things of a photo, with these things' boxes."""
    spoken = set(caption.split())
    found: dict[str, list[Box]] = {}
    for thing in photo.things:
        for word in {thing.word, plural(thing.word)} & spoken:
            if _is_known(word, captioner):
                found.setdefault(word, []).append(thing.box)
    return found


def _test_photos(data: str) -> list[Photo]:
    return [photo for photo in read_photos(data) if split_of_things(photo.key) == "test"]


def _size(captioner: LoadedCaptioner) -> int:
    return EXPLAINING_SIZE.get(captioner.name, captioner.entry.recipe.size)


def _is_known(word: str, captioner: LoadedCaptioner) -> bool:
    return all(part in captioner.vocabulary for part in word.split())

"""Captions for views with objects in known places: their last word names an object, whose cells are marked."""

from pathlib import Path

import numpy as np

from gradcam_jax.experiments.data import located_captions
from gradcam_jax.experiments.data.captioned_views import CaptionedView
from gradcam_jax.experiments.data.captions import CaptionedPhoto
from gradcam_jax.experiments.data.located_captions import (
    LENGTH,
    LocatedCaptions,
    is_located,
    located_views,
    nouns_of,
)
from gradcam_jax.experiments.data.photos import WHOLE, Box, LabelledBox, Photo
from gradcam_jax.experiments.data.views import Part, collage, view_of
from gradcam_jax.text.vocabulary import Vocabulary

LEFT, RIGHT = Box(0.0, 0.0, 0.5, 1.0), Box(0.5, 0.0, 1.0, 1.0)
DOG_LEFT = Photo("coco/1", Path(), (LabelledBox("dog", LEFT), LabelledBox("car", RIGHT)), True)
BOXER = Photo("x/boxer", Path(), (LabelledBox("dog", WHOLE),), False, 242)
TABBY = Photo("x/tabby", Path(), (LabelledBox("cat", WHOLE),), False, 281)
PEOPLES = [
    CaptionedPhoto("coco/1", Path(), ("A brown dog sits in the grass.", "Grass.")),
    CaptionedPhoto("flickr/1", Path(), ("The dog is wet", "It looks like one of those very large dogs")),
]
WORDS = Vocabulary(["a", "and", "brown", "dog", "the", "cat", "UNK"])


def test_only_views_with_a_box_smaller_than_themselves_are_located():
    assert is_located(view_of(Part(DOG_LEFT)))
    assert is_located(collage(BOXER, TABBY, layout="beside"))
    assert not is_located(view_of(Part(BOXER)))
    assert not is_located(view_of(Part(Photo("coco/2", Path(), (LabelledBox("dog", WHOLE),), True))))


def drawn(views, count=200):
    captions = LocatedCaptions(views, PEOPLES, WORDS, cells=2)
    examples = captions.draw(np.random.default_rng(0), count)
    texts = [
        " ".join(WORDS.entries[token] for token in row[: noun + 1])
        for row, noun in zip(examples["tokens"], examples["noun"], strict=True)
    ]
    return examples, texts


def test_a_caption_ends_with_a_noun_that_is_known_and_marks_where_its_object_is():
    examples, texts = drawn([view_of(Part(DOG_LEFT))])
    assert examples["tokens"].shape == (200, LENGTH)
    # People's own caption, that of another photo, the template, and the template after another kind of object.
    assert set(texts) == {"a brown dog", "the dog", "a dog", "a UNK and a dog", "a dog and a dog"}
    assert all(
        (row[noun + 1 :] == len(WORDS)).all()
        for row, noun in zip(examples["tokens"], examples["noun"], strict=True)
    )
    # The car is never asked for, since its word is not known; the dog is on the left.
    np.testing.assert_array_equal(examples["inside"], [[True, False, True, False]] * 200)


def test_each_half_of_a_collage_is_asked_for():
    examples, texts = drawn([collage(BOXER, TABBY, layout="beside")])
    halves = {(text.split()[-1], *row.tolist()) for text, row in zip(texts, examples["inside"], strict=True)}
    assert halves == {("dog", True, False, True, False), ("cat", False, True, False, True)}
    assert "a brown dog" in texts  # a collage has no captions of its own, but another photo's


def test_several_objects_have_a_plural():
    assert nouns_of("bus", 1) == ("bus",)
    assert nouns_of("bus", 3) == ("bus", "buses")
    assert "women" in nouns_of("person", 2)
    assert "women" not in nouns_of("person", 1)


def test_objects_are_pasted_on_photos_whose_captions_do_not_name_them(monkeypatch):
    monkeypatch.setattr(located_captions, "split_of_boxed", lambda _key: "train")
    pair = CaptionedView(collage(BOXER, TABBY, layout="above"), ("a dog and a cat",))
    alone = CaptionedView(view_of(Part(BOXER)), ("a dog",))
    views = located_views([DOG_LEFT, BOXER, TABBY], [pair, alone], PEOPLES, np.random.default_rng(0), made=60)
    assert all(map(is_located, views))
    assert pair.view in views
    assert alone.view not in views
    pasted = [view for view in views if not view.parts[0].photo.objects]
    assert len(pasted) > 10
    for view in pasted:
        ((word, box, *_),) = view.objects
        assert word in ("cat", "car")  # both photos' captions speak of a dog
        assert 0.02 <= box.area < 0.6


def test_photos_that_are_kept_for_tests_are_not_shown(monkeypatch):
    monkeypatch.setattr(located_captions, "split_of_boxed", lambda _key: "test")
    assert located_views([DOG_LEFT, BOXER], [], PEOPLES, np.random.default_rng(0), made=9) == []

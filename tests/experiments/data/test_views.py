"""What is on a view follows from what is on its photos."""

from pathlib import Path

import numpy as np
import pytest

from gradcam_jax.experiments.data.photos import WHOLE, Box, LabelledBox, Photo
from gradcam_jax.experiments.data.views import Part, collage, render, training_views, two_animal_collages, view_of
from tests.experiments.data.made_photos import make_data

DOG = Photo("coco/9", Path(), (LabelledBox("dog", Box(0.0, 0.0, 0.5, 0.5)),), True)
CAT = Photo("x/cat", Path(), (LabelledBox("cat", WHOLE),), False, 281)


def test_mirroring_mirrors_the_boxes():
    (item,) = view_of(Part(DOG, mirrored=True)).objects
    assert item.box == pytest.approx((0.5, 0.0, 1.0, 0.5))


def test_a_crop_moves_boxes_keeps_what_is_inside_and_forgets_what_is_outside():
    (item,) = view_of(Part(DOG, Box(0.0, 0.0, 0.5, 1.0))).objects
    assert item.box == pytest.approx((0.0, 0.0, 1.0, 0.5))
    gone = view_of(Part(DOG, Box(0.5, 0.5, 1.0, 1.0)))
    assert gone.objects == ()
    assert gone.unsure == frozenset()


def test_what_is_cut_in_half_is_neither_there_nor_gone():
    view = view_of(Part(DOG, Box(0.25, 0.0, 1.0, 1.0)))
    assert view.objects == ()
    assert view.unsure == {"dog"}


def test_what_is_too_small_is_not_asked_about():
    tiny = Photo("coco/8", Path(), (LabelledBox("tie", Box(0.5, 0.5, 0.6, 0.6)),), True)
    assert view_of(Part(tiny)).unsure == {"tie"}


def test_a_collage_has_both_photos_things_each_in_its_place():
    view = collage(DOG, CAT, layout="beside")
    assert {item.word: item.box for item in view.objects} == {
        "dog": pytest.approx((0.0, 0.0, 0.25, 0.5)),
        "cat": pytest.approx((0.5, 0.0, 1.0, 1.0)),
    }
    assert not view.complete


def test_an_inset_hides_what_is_under_it():
    under = Photo("coco/7", Path(), (LabelledBox("dog", Box(0.7, 0.7, 0.95, 0.95)),), True)
    assert [item.word for item in collage(under, CAT, layout="inset").objects] == ["cat"]


def test_collages_of_two_animals_are_of_two_kinds():
    views = two_animal_collages([DOG, CAT], np.random.default_rng(0), 5)
    assert len(views) == 5
    assert all({item.word for item in view.objects} == {"dog", "cat"} for view in views)
    assert two_animal_collages([DOG, DOG], np.random.default_rng(0), 5) == []


def test_names_tell_views_apart_and_draws_repeat():
    drawn = [training_views([DOG, CAT], np.random.default_rng(3), collages=6) for _ in range(2)]
    assert drawn[0] == drawn[1]
    singles = [view.name for view in drawn[0] if len(view.parts) == 1]
    assert len(set(singles)) == len(singles)


def test_pixels_go_where_the_parts_say(tmp_path):
    make_data(tmp_path)
    paths = [tmp_path / "samples" / "images" / name for name in ("boxer.jpg", "jeep.jpg")]
    dark, light = (Photo(str(path), path, (), False) for path in paths)
    picture = render(collage(dark, light, layout="beside"), 10)
    np.testing.assert_allclose(picture[:, :5], 20 / 255, atol=0.02)
    np.testing.assert_allclose(picture[:, 5:], 140 / 255, atol=0.02)
    assert picture.dtype == np.float32

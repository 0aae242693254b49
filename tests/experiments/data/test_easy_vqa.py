"""easy-VQA: the official counts, and the box of a shape by hand-made pictures."""

import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.easy_vqa import kind_of, read_easy_vqa, shape_box


def _picture(height=64, width=64, background=(250, 240, 235)):
    return np.full((height, width, 3), background, np.uint8)


def test_a_rectangles_box_ends_at_its_pixels_edges():
    image = _picture()
    image[8:24, 16:48] = (255, 0, 0)
    assert shape_box(image) == (0.25, 0.125, 0.75, 0.375)


def test_one_pixel_has_an_extent():
    image = _picture(4, 8)
    image[3, 7] = 0
    assert shape_box(image) == (0.875, 0.75, 1.0, 1.0)


def test_a_shape_may_touch_the_border():
    image = _picture()
    image[:20, :30] = (0, 128, 128)
    assert shape_box(image) == (0, 0, 30 / 64, 20 / 64)


@pytest.mark.parametrize(("covered", "right"), [(0.25, 40), (0.75, 41)])
def test_a_smoothed_edge_belongs_to_the_shape_if_the_shape_covers_half_of_it(covered, right):
    image = _picture().astype(np.float32)
    shape, background = np.array([0, 0, 255]), image[0, 0].copy()
    image[10:20, 20:40] = shape
    image[10:20, 40] = covered * shape + (1 - covered) * background
    assert shape_box(image).right == right / 64


def test_yellow_on_cream_is_told_apart_by_its_blue():
    image = _picture(background=(255, 250, 230))
    image[30:40, 30:40] = (255, 255, 0)
    assert shape_box(image) == (30 / 64, 30 / 64, 40 / 64, 40 / 64)


def test_floats_do_as_well():
    image = _picture()
    image[8:24, 16:48] = (255, 0, 0)
    assert shape_box(image.astype(np.float32) / 255) == shape_box(image)


def test_a_picture_of_one_colour_has_no_box():
    with pytest.raises(InputError, match="single colour"):
        shape_box(_picture())


@pytest.mark.parametrize(("answer", "kind"), [("circle", "shape"), ("teal", "colour"), ("no", "yes or no")])
def test_kinds(answer, kind):
    assert kind_of(answer) == kind


def test_the_official_test_split():
    pytest.importorskip("easy_vqa", reason="needs the package easy-vqa")
    test = read_easy_vqa("test")
    assert test.images.shape == (1000, 64, 64, 3)
    assert test.images.dtype == np.uint8
    assert len(test.questions) == 9673
    assert sum(question.kind == "yes or no" for question in test.questions) == 7136
    assert len(test.answers) == 13
    boxes = np.array([shape_box(image) for image in test.images])
    sides = boxes[:, 2:] - boxes[:, :2]
    assert sides.min() >= 7 / 64
    assert sides.max() <= 33 / 64


def test_without_the_package_the_message_tells_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "easy_vqa", None)
    with pytest.raises(InputError, match="pip install easy-vqa"):
        read_easy_vqa("train")

"""Panels hold pictures of any shape, each where it belongs."""

import numpy as np
import pytest

from gradcam_jax.pictures.panels import Strip, panel, stacked, stretch_to, text_line


@pytest.mark.parametrize("shape", [(1, 1, 3), (10, 2000, 3), (2000, 10, 3), (100, 100)])
def test_panels_hold_pictures_of_any_shape(shape):
    strips = [Strip("title", [("one", np.zeros(shape, np.uint8)), ("two", np.zeros(shape, np.uint8))])] * 2
    picture = panel(strips, heading="Why?")
    assert picture.ndim == 3
    assert picture.shape[0] < 1200
    assert (picture == 255).mean() < 1


def test_pictures_stand_side_by_side_under_their_title():
    black, grey = np.zeros((50, 50, 3), np.uint8), np.full((50, 25), 90, np.uint8)
    picture = panel([Strip("title", [("black", black), ("grey", grey)])], height=100)
    top = 14 + 25 + 6  # margin, title, gap
    assert (picture[top : top + 100, 14:114] == 0).all()
    assert (picture[top : top + 100, 128:178] == 90).all()
    assert (picture[top : top + 100, 114:128] == 255).all()
    assert picture.shape[0] == top + 100 + 4 + 19 + 14


def test_a_heading_moves_everything_down():
    strips = [Strip("a longer title", [("one", np.zeros((20, 20, 3), np.uint8))])]
    plain, headed = panel(strips, height=40), panel(strips, heading="Why?", height=40)
    np.testing.assert_array_equal(headed[28 + 14 :], plain)
    assert (headed[: 28 + 14] < 255).any()


def test_stacked_pictures_are_left_aligned_on_white():
    picture = stacked([np.zeros((2, 5, 3), np.uint8), np.ones((1, 3, 3), np.uint8)])
    np.testing.assert_array_equal(picture[..., 0], [[0] * 5, [0] * 5, [1, 1, 1, 255, 255]])


def test_stretching_gives_the_shape_asked_for():
    assert stretch_to(np.zeros((8, 8, 3), np.uint8), (3, 11)).shape == (3, 11, 3)


def test_a_line_of_text_is_as_wide_as_its_text():
    short, long, none = (text_line(text, 14, (0, 0, 0)) for text in ("dog", "dog and cat", ""))
    assert none.width < short.width < long.width
    assert none.height == short.height == long.height == 19

"""Panels hold pictures of any shape, each where it belongs."""

import numpy as np
import pytest

from gradcam_jax.pictures.colors import PAPERS
from gradcam_jax.pictures.panels import Footer, Strip, panel, panel_sheet, stacked, stretch_to
from gradcam_jax.pictures.sheet import text_line


@pytest.mark.parametrize(
    "shape", [(1, 1, 3), (10, 2000, 3), (200, 2400, 3), (2000, 10, 3), (480, 640), (640, 480)]
)
def test_panels_of_pictures_of_any_shape_fit_a_slide(shape):
    tiles = [(name, np.zeros(shape, np.uint8)) for name in ("photo", "map", "guided backprop", "Guided Grad-CAM")]
    picture = panel([Strip("title", tiles)], heading="Why?", footer=Footer("vgg16, relu5_3, Grad-CAM"))
    assert picture.shape[0] <= 1300
    assert 400 <= picture.shape[1] <= 2000 + 2 * 16
    assert (picture == 0).all(axis=-1).sum() > 4 * 1000  # each of the four is to be seen


def test_what_is_wider_than_a_slide_goes_on_below():
    wide = np.zeros((50, 200, 3), np.uint8)
    rows = [panel([Strip("", [("x", wide)] * count)], height=200) for count in (1, 2, 3, 4, 5)]
    assert [row.shape[1] for row in rows] == [832, 1648, 1648, 1648, 1648]
    heights = [row.shape[0] for row in rows]
    assert heights[0] == heights[1] < heights[2] == heights[3] < heights[4]


def test_five_tiles_of_which_four_fit_beside_each_other_stand_as_three_and_two():
    picture = panel([Strip("", [("x", np.zeros((50, 112, 3), np.uint8))] * 5)], height=200)
    assert picture.shape[1] == 3 * 448 + 2 * 16 + 2 * 16


def test_a_footer_has_a_bar_of_the_colours_between_its_ends():
    strips = [Strip("title", [("one", np.zeros((50, 50, 3), np.uint8))])]
    plain = panel(strips)
    for colors, (low, high) in {
        "original": ((0, 0, 255), (255, 0, 0)),
        "viridis": ((68, 1, 84), (253, 231, 37)),
    }.items():
        below = panel(strips, footer=Footer("vgg16", colors))[len(plain) - 16 :]
        places = [np.argwhere((below == color).all(axis=-1)) for color in (low, high)]
        assert all(len(found) for found in places)
        assert places[1][:, 1].min() - places[0][:, 1].max() == 219


def test_a_panel_may_be_black_and_a_long_title_ends_in_dots():
    strips = [Strip("A long title " * 50, [("one", np.full((50, 50, 3), 99, np.uint8))], "A warning")]
    picture = panel(strips, heading="Why?", paper=PAPERS["black"], footer=Footer("vgg16"))
    assert (picture[:10] == 0).all()
    assert picture.shape[1] <= 600 + 2 * 16
    red = (picture[..., 0].astype(int) - picture[..., 2] > 50) & (picture[..., 1] > 100)
    assert red.any()  # the warning, light red on black


def test_a_title_has_the_room_of_the_whole_panel():
    tile = ("photo", np.zeros((300, 400, 3), np.uint8))
    title = "Word by word, " * 7
    alone, below_wider = (panel_sheet([*more, Strip(title, [tile])]) for more in ([], [Strip("", [tile] * 4)]))
    assert next(part.text for part in alone.parts if "Word" in part.text).endswith("…")
    assert [part.text for part in below_wider.parts if "Word" in part.text] == [title]


def test_tiles_of_one_size_stand_in_columns_under_captions_a_little_wider():
    picture = np.zeros((300, 200, 3), np.uint8)
    captions = ("Grad-CAM, strength 100%", "Grad-CAM, strength 9%")
    sheet = panel_sheet([Strip("", [(caption, picture), ("", picture)]) for caption in captions])
    places = [part.place[0] for part in sheet.parts if part.picture is not None]
    assert places == [16, 232, 16, 232]


def test_pictures_stand_side_by_side_under_their_title():
    black, grey = np.zeros((50, 50, 3), np.uint8), np.full((50, 25), 90, np.uint8)
    picture = panel([Strip("title", [("black", black), ("grey", grey)])], height=100)
    top = 16 + 29 + 6  # margin, title, gap
    assert (picture[top : top + 100, 16:116] == 0).all()
    assert (picture[top : top + 100, 132:182] == 90).all()
    assert (picture[top : top + 100, 116:132] == 255).all()
    assert picture.shape[0] == top + 100 + 4 + 23 + 16


def test_a_heading_moves_everything_down():
    strips = [Strip("a longer title", [("one", np.zeros((20, 20, 3), np.uint8))])]
    plain, headed = panel(strips, height=40), panel(strips, heading="Why?", height=40)
    np.testing.assert_array_equal(headed[36 + 16 :], plain)
    assert (headed[: 36 + 16] < 255).any()


def test_stacked_pictures_are_left_aligned_on_white():
    picture = stacked([np.zeros((2, 5, 3), np.uint8), np.ones((1, 3, 3), np.uint8)])
    np.testing.assert_array_equal(picture[..., 0], [[0] * 5, [0] * 5, [1, 1, 1, 255, 255]])


def test_stretching_gives_the_shape_asked_for():
    assert stretch_to(np.zeros((8, 8, 3), np.uint8), (3, 11)).shape == (3, 11, 3)


def test_a_line_of_text_is_as_wide_as_its_text():
    short, long, none = (text_line(text, 14, (0, 0, 0)) for text in ("dog", "dog and cat", ""))
    assert none.width < short.width < long.width
    assert none.height == short.height == long.height == 19

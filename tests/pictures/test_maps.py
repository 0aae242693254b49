"""The original's pictures byte for byte; overlays that show what they should."""

import jax
import numpy as np
import pytest

from gradcam_jax.attribution.resize import resize_corner_aligned
from gradcam_jax.errors import InputError
from gradcam_jax.pictures.colors import COLORS, color_values
from gradcam_jax.pictures.maps import (
    centred_gradient_picture,
    gradient_on,
    gradient_picture,
    grey_map,
    heat_map,
    heatmap_of,
    min_max,
    overlay,
    to_bytes,
)


def originals_colour(value):
    """The table of the original program, one value at a time."""
    if value <= 0.25:
        return (0, 4 * value, 1)
    if value <= 0.5:
        return (0, 1, 2 - 4 * value)
    if value <= 0.75:
        return (4 * value - 2, 1, 0)
    return (1, 4 - 4 * value, 0)


def test_heat_colours_follow_the_originals_table():
    values = np.linspace(0, 1, 1001, dtype=np.float32)
    expected = [originals_colour(float(value)) for value in values]
    np.testing.assert_allclose(color_values(values[None])[0], expected, atol=1e-6)


def test_bytes_are_truncated_not_rounded():
    values = np.array([-1, 0.0, 0.999, 0.5, 1, 2], np.float32)
    np.testing.assert_array_equal(to_bytes(values), [0, 0, 254, 127, 255, 255])


def test_heat_map_spans_blue_to_red():
    picture = heat_map(np.array([[1.0, 2.0, 3.0]]))
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, [[[0, 0, 255], [0, 255, 0], [255, 0, 0]]])


def test_an_all_zero_map_is_blue_and_a_zero_gradient_is_black_as_in_the_original():
    assert (heat_map(np.zeros((2, 2))) == [0, 0, 255]).all()
    assert (grey_map(np.zeros((2, 2))) == 0).all()
    assert (gradient_picture(np.zeros((2, 2, 3))) == 0).all()


def test_gradient_pictures_are_scaled_over_all_channels_jointly():
    gradient = np.array([[[-1.0, 0.0, 3.0]]])
    np.testing.assert_array_equal(gradient_picture(gradient), [[[0, 63, 255]]])


def test_centred_pictures_keep_zero_grey():
    gradient = np.zeros((4, 4, 3))
    gradient[0, 0] = [1.0, -1.0, 0.0]
    picture = centred_gradient_picture(gradient)
    assert (picture[1] == 127).all()
    assert (centred_gradient_picture(np.zeros((2, 2, 3))) == 127).all()


def test_overlay_keeps_the_photos_size_and_its_quiet_parts():
    photo = np.full((600, 50, 3), 90, np.uint8)
    heatmap = np.zeros((8, 8), np.float32)
    heatmap[:2, :2] = 5.0
    picture = overlay(photo, heatmap, (0, 0, 50, 600))
    assert picture.shape == photo.shape
    assert (picture[300:] == photo[300:]).all()
    assert picture[20, 2, 0] > 180
    assert (photo == 90).all()


def test_overlay_stays_inside_its_box():
    photo = np.zeros((40, 60, 3), np.uint8)
    picture = overlay(photo, np.ones((4, 4)), (10.0, 5.0, 30.0, 25.0))
    outside = np.ones((40, 60), bool)
    outside[5:25, 10:30] = False
    assert (picture[outside] == 0).all()
    assert (picture[~outside] > 0).any(axis=-1).all()


@pytest.mark.parametrize("heatmap", [np.zeros((3, 3)), -np.ones((3, 3))])
def test_overlay_of_a_map_with_no_evidence_is_the_photo(heatmap):
    photo = np.full((9, 9, 3), 77, np.uint8)
    np.testing.assert_array_equal(overlay(photo, heatmap, (0, 0, 9, 9)), photo)


def test_min_max_spans_0_to_1_and_keeps_a_constant_dark():
    np.testing.assert_array_equal(min_max(np.array([-1, 0, 3])), [0, 0.25, 1])
    np.testing.assert_array_equal(min_max(np.array([[7, 7]])), [[0, 0]])


@pytest.mark.parametrize(
    ("shape", "size"), [((7, 7), (224, 224)), ((10, 10), (320, 320)), ((14, 9), (64, 96)), ((12, 12), (5, 5))]
)
def test_heatmaps_are_rectified_and_resized_as_the_engine_does(shape, size):
    cam = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    heatmap = heatmap_of(cam, size)
    assert heatmap.dtype == np.float32
    np.testing.assert_allclose(heatmap, resize_corner_aligned(jax.nn.relu(cam), size), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(heatmap_of(cam), np.maximum(cam, 0))


def test_overlay_covers_the_whole_photo_unless_told_where():
    photo = np.random.default_rng(1).integers(0, 255, (30, 50, 3), np.uint8)
    heatmap = np.random.default_rng(2).standard_normal((4, 4))
    np.testing.assert_array_equal(overlay(photo, heatmap), overlay(photo, heatmap, (0, 0, 50, 30)))


def test_overlay_has_three_quarters_of_the_colour_where_the_map_is_highest():
    photo = np.full((2, 2, 3), 100, np.uint8)
    picture = overlay(photo, np.array([[3.0, -1.0], [0.0, 1.5]]))
    red, green = [0.25 * 100 + 0.75 * 255, 25, 25], [0.625 * 100, 0.625 * 100 + 0.375 * 255, 0.625 * 100]
    np.testing.assert_array_equal(picture, np.round([[red, [100] * 3], [[100] * 3, green]]).astype(np.uint8))


@pytest.mark.parametrize("photo", [np.zeros((5, 5, 3), np.float32), np.zeros((5, 5), np.uint8)])
def test_overlay_refuses_photos_of_another_kind(photo):
    with pytest.raises(InputError, match=r"Expected a uint8 RGB photo \(H, W, 3\), got"):
        overlay(photo, np.ones((2, 2)))


def test_overlay_refuses_several_maps():
    with pytest.raises(InputError, match=r"Expected one map \(h, w\), got an array \(3, 2, 2\)"):
        overlay(np.zeros((5, 5, 3), np.uint8), np.ones((3, 2, 2)))


def test_a_shared_scale_shades_a_weak_map():
    photo = np.full((8, 8, 3), 100, np.uint8)
    weak, strong = np.full((2, 2), 0.25), np.full((2, 2), 1.0)
    alone, beside = overlay(photo, weak), overlay(photo, weak, highest=1.0)
    np.testing.assert_array_equal(alone, overlay(photo, strong, highest=1.0))
    changed = [np.abs(picture.astype(int) - 100).mean() for picture in (beside, alone)]
    assert 0 < changed[0] < changed[1] / 2
    np.testing.assert_array_equal(overlay(photo, weak, highest=0.0), photo)
    np.testing.assert_array_equal(
        overlay(photo, 2 * strong, highest=1.0), alone
    )  # what is higher is full, not more


@pytest.mark.parametrize("ground", [255, 0])
def test_gradients_are_read_on_white_and_on_black(ground):
    random = np.random.default_rng(0).standard_normal((20, 20, 3))
    random[:10] = 0
    picture = gradient_on(random, "white" if ground else "black")
    assert (picture[:10] == ground).all()
    difference = np.abs(picture[10:].astype(int) - ground).max(axis=-1)
    strongest = np.abs(random[10:]).max(axis=-1)
    # What has a tenth of the highest value is seen, and more of it better.
    assert difference[strongest > strongest.max() / 10].min() > 40
    assert difference[strongest > strongest.max() / 2].mean() > difference[strongest < strongest.max() / 3].mean()
    assert (gradient_on(np.zeros((2, 2, 3)), "white") == 255).all()
    with pytest.raises(InputError, match=r"no paper 'grey'"):
        gradient_on(random, "grey")


@pytest.mark.parametrize("colors", COLORS)
def test_a_heat_map_spans_its_colour_map(colors):
    ends = np.round(255 * color_values(np.array([[0.0, 1.0]]), colors)).astype(int)
    drawn = heat_map(np.array([[1.0, 3.0]]), colors)
    assert np.abs(drawn.astype(int) - ends).max() <= 1
    photo = np.zeros((4, 4, 3), np.uint8)
    full = overlay(photo, np.ones((2, 2)), colors=colors)
    assert np.abs(full[0, 0] - 0.75 * ends[0, 1]).max() <= 1


def test_an_unknown_colour_map_lists_the_known():
    with pytest.raises(InputError, match=r"There is no colour map 'virids'\. Nearest: viridis"):
        heat_map(np.zeros((2, 2)), "virids")

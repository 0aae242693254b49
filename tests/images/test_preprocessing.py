"""Photos of every kind become upright RGB; each recipe gives its family's numbers."""

import numpy as np
import PIL.Image
import pytest

from gradcam_jax import InputError, read_photo, to_network
from gradcam_jax.images.preprocessing import (
    CAFFE_ALEXNET,
    EFFICIENTNET_LITE,
    ORIGINAL,
    PREPROCESSINGS,
    TORCHVISION,
    crop_bicubic,
    crop_bilinear,
    stretch_bicubic,
    stretch_torch7,
    to_rgb,
)
from tests.attribution.test_resize import torch7_by_loops
from tests.comparison import assert_close

PHOTO = np.random.default_rng(0).integers(0, 256, (30, 44, 3), dtype=np.uint8)


def saved(tmp_path, image, name="photo.png", **options):
    image.save(tmp_path / name, **options)
    return read_photo(tmp_path / name)


def test_rgb_is_read_as_it_is(tmp_path):
    np.testing.assert_array_equal(saved(tmp_path, PIL.Image.fromarray(PHOTO)), PHOTO)


def test_grey_is_repeated(tmp_path):
    grey = PHOTO[..., 0]
    photo = saved(tmp_path, PIL.Image.fromarray(grey))
    np.testing.assert_array_equal(photo, np.repeat(grey[..., None], 3, axis=2))


def test_16_bit_grey_is_scaled_not_clipped(tmp_path):
    values = np.array([[0, 257, 65535, 32896]], np.uint16)
    photo = saved(tmp_path, PIL.Image.fromarray(values))
    np.testing.assert_array_equal(photo[0, :, 0], [0, 1, 255, 128])


def test_float_tiff_is_stretched_to_bytes(tmp_path):
    photo = saved(tmp_path, PIL.Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32)), "photo.tiff")
    np.testing.assert_array_equal(photo[0, :, 0], [0, 127, 255])


def test_palette_becomes_rgb(tmp_path):
    palette = PIL.Image.fromarray(PHOTO).quantize(16)
    np.testing.assert_array_equal(saved(tmp_path, palette), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_is_laid_on_white(tmp_path, mode):
    image = PIL.Image.fromarray(np.full((2, 2, 3), 10, np.uint8)).convert("RGBA")
    image.putalpha(0)
    name = "photo.png" if mode != "PA" else "photo.gif"
    photo = saved(tmp_path, image.convert("LA") if mode == "LA" else image, name)
    assert (photo == 255).all()


def test_cmyk_becomes_rgb(tmp_path):
    red = PIL.Image.new("RGB", (16, 16), (200, 30, 20))
    photo = saved(tmp_path, red.convert("CMYK"), "photo.jpg", quality=95)
    assert np.abs(photo.astype(int) - [200, 30, 20]).max() < 12


def test_exif_orientation_is_applied(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rows are columns
    photo = saved(tmp_path, PIL.Image.fromarray(PHOTO), "photo.png", exif=exif)
    np.testing.assert_array_equal(photo, np.rot90(PHOTO, -1))


@pytest.mark.parametrize("fit", [stretch_torch7, stretch_bicubic, crop_bilinear, crop_bicubic])
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (700, 3), (30, 44)])
def test_any_shape_fits(fit, shape):
    photo = np.full((*shape, 3), 51, np.uint8)
    image, (left, top, right, bottom) = fit(photo, 32)
    assert image.shape == (32, 32, 3)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, 0.2, atol=1e-6)
    assert 0 <= left < right <= shape[1]
    assert 0 <= top < bottom <= shape[0]


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.jpg' does not exist"):
        read_photo(tmp_path / "nothing.jpg")
    with pytest.raises(InputError, match="is a folder"):
        read_photo(tmp_path)


def test_not_an_image(tmp_path):
    (tmp_path / "notes.jpg").write_text("dear diary")
    with pytest.raises(InputError, match=r"notes\.jpg' is not an image"):
        read_photo(tmp_path / "notes.jpg")


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.95])
def test_a_truncated_jpeg(tmp_path, keep):
    PIL.Image.fromarray(np.tile(PHOTO, (8, 8, 1))).save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(InputError, match=r"truncated|not an image"):
        read_photo(tmp_path / "cut.jpg")


def test_photos_above_pillows_warning_are_read_and_absurd_ones_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow warns above, refuses above twice as many
    assert saved(tmp_path, PIL.Image.fromarray(PHOTO)).shape == PHOTO.shape
    with pytest.raises(InputError, match="too large"):
        saved(tmp_path, PIL.Image.fromarray(np.tile(PHOTO, (2, 2, 1))))


@pytest.mark.parametrize("size", [16, 30, 36, 60])
def test_stretch_torch7_equals_the_originals_loops(size):
    image, _ = stretch_torch7(PHOTO, size)
    unit = PHOTO.astype(np.float64) / 255
    narrow = np.stack([[torch7_by_loops(row[:, c], size) for c in range(3)] for row in unit])
    expected = np.stack([[torch7_by_loops(narrow[:, c, x], size) for x in range(size)] for c in range(3)])
    assert_close(image, expected.transpose(2, 1, 0), 1e-6)


def test_torchvisions_crop_is_the_centre():
    resized = crop_bilinear(np.zeros((480, 640, 3), np.uint8), 224)
    np.testing.assert_allclose(resized.box, (109.6875, 30, 529.6875, 450), atol=1.5)


def test_the_originals_numbers():
    image = np.array([[[1.0, 0.5, 0.0]]], np.float32)
    expected = [[[0 - 103.939, 127.5 - 116.779, 255 - 123.68]]]
    assert_close(to_network(image, ORIGINAL), expected, 1e-6)
    assert CAFFE_ALEXNET.size == 227


def test_efficientnet_lites_numbers():
    image = np.array([[[127, 255, 0]]], np.float32) / 255
    assert_close(to_network(image, EFFICIENTNET_LITE), [[[0, 1, -127 / 128]]], 1e-6)


def test_torchvisions_numbers():
    image = np.array([[[0.485, 0.456 + 0.224, 0.0]]], np.float32)
    assert_close(to_network(image, TORCHVISION), [[[0, 1, -0.406 / 0.225]]], 1e-6)


@pytest.mark.parametrize("recipe", PREPROCESSINGS.values(), ids=PREPROCESSINGS)
def test_gradients_come_back_in_rgb(recipe):
    red = np.zeros((1, 1, 3), np.float32)
    red[..., 0] = 1
    moved = np.asarray(to_network(red, recipe) - to_network(np.zeros_like(red), recipe))
    assert np.asarray(to_rgb(moved, recipe))[0, 0].argmax() == 0

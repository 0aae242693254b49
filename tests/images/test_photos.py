"""Photos of every kind become upright RGB, and a file that cannot be read is named with the true reason."""

import errno
import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.images.photos import read_photo

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
    np.testing.assert_array_equal(photo[0, :, 0], [0, 128, 255])


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


def test_the_operating_systems_reason_is_not_blamed_on_the_file(tmp_path):
    reason = os.strerror(errno.ENAMETOOLONG)
    with pytest.raises(InputError, match=f"cannot be read: {reason}"):
        read_photo(tmp_path / ("a" * 300 + ".jpg"))


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file whose reading fails")
def test_a_failed_read_is_not_called_a_damaged_image():
    with pytest.raises(InputError, match=f"cannot be read: {os.strerror(errno.EIO)}"):
        read_photo("/proc/self/mem")


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="needs a device file")
def test_a_device_is_no_photo():
    with pytest.raises(InputError, match="is not a file"):
        read_photo("/dev/null")


def test_a_damaged_image_is_reported_in_pillows_words(tmp_path):
    content = saved_bytes(tmp_path)
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"cut\.png' cannot be decoded: .*truncated"):
        read_photo(tmp_path / "cut.png")


def saved_bytes(tmp_path):
    PIL.Image.fromarray(PHOTO).save(tmp_path / "whole.png")
    return (tmp_path / "whole.png").read_bytes()

"""The fast libraries decode what Pillow decodes, and resize nearly as it does."""

import io

import numpy as np
import PIL.Image
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.images import fast
from gradcam_jax.images.fast import decode_fast, require_fast, resample_fast
from gradcam_jax.images.photos import decode_photo
from gradcam_jax.images.preprocessing import PREPROCESSINGS, resample

pytest.importorskip("simplejpeg", reason="needs the extra `fast`")
pytest.importorskip("cykooz_resizer", reason="needs the extra `fast`")

PHOTO = np.asarray(
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 13, 3), np.uint8)).resize((260, 180))
)


def jpeg(image=None, **options):
    content = io.BytesIO()
    (image or PIL.Image.fromarray(PHOTO)).save(content, "JPEG", **options)
    return content.getvalue()


def turned(number):
    exif = PIL.Image.Exif()
    exif[0x0112] = number
    return jpeg(exif=exif)


def png():
    content = io.BytesIO()
    PIL.Image.fromarray(PHOTO).save(content, "PNG")
    return content.getvalue()


CASES = {
    "plain": jpeg(),
    "full chroma": jpeg(subsampling=0),
    "progressive": jpeg(progressive=True),
    "grey": jpeg(PIL.Image.fromarray(PHOTO[..., 0])),
    "CMYK": jpeg(PIL.Image.fromarray(PHOTO).convert("CMYK")),
    "upright with EXIF": turned(1),
    "turned": turned(6),
    "PNG": png(),
}


@pytest.mark.parametrize("content", CASES.values(), ids=CASES)
def test_the_pixels_are_pillows(content):
    np.testing.assert_array_equal(
        np.asarray(decode_fast(content, "photo")), np.asarray(decode_photo(io.BytesIO(content), "photo"))
    )


@pytest.mark.parametrize("at_least", [45, 50, 90, 100, 500])
def test_a_smaller_scale_is_pillows(at_least):
    exact = decode_photo(io.BytesIO(CASES["plain"]), "photo", at_least=at_least)
    assert np.asarray(decode_fast(CASES["plain"], "photo", at_least=at_least)).shape[:2] == exact.size[::-1]


def test_what_cannot_be_decoded_is_said_in_pillows_words():
    for content in (CASES["plain"][:900], b"dear diary", b"\xff\xd8\xff"):
        with pytest.raises(InputError) as exact:
            decode_photo(io.BytesIO(content), "photo")
        with pytest.raises(InputError) as fast_error:
            decode_fast(content, "photo")
        assert str(fast_error.value) == str(exact.value)


def test_photos_that_pillow_refuses_are_refused(monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match="too large"):
        decode_fast(CASES["plain"], "photo")


@pytest.mark.parametrize("size", [(224, 224), (100, 60), (300, 400), (1, 1)])
@pytest.mark.parametrize("resampling", [PIL.Image.Resampling.BILINEAR, PIL.Image.Resampling.BICUBIC])
def test_resized_bytes_are_near_pillows(size, resampling):
    difference = np.abs(resample_fast(PHOTO, size, resampling).astype(int) - resample(PHOTO, size, resampling))
    assert difference.shape == (size[1], size[0], 3)
    assert difference.max() <= 12
    assert difference.mean() < 0.4


@pytest.mark.parametrize("preprocessing", PREPROCESSINGS.values(), ids=PREPROCESSINGS)
def test_every_preprocessing_takes_it(preprocessing):
    image, box = preprocessing.resize(PHOTO, 64, resample_fast)
    exact = preprocessing.resize(PHOTO, 64)
    assert box == exact.box
    assert image.dtype == exact.image.dtype
    assert np.abs(image.astype(float) - exact.image).mean() < 0.4


def test_libraries_that_are_missing_are_named(monkeypatch):
    require_fast()
    monkeypatch.setattr(fast.importlib.util, "find_spec", lambda name: None if name == "simplejpeg" else name)
    with pytest.raises(InputError, match=r"--fast_decoding needs simplejpeg:  pip install simplejpeg"):
        require_fast()

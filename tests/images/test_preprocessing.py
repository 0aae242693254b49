"""Each preprocessing gives its family's numbers, on numpy and on JAX arrays."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.images.photos import decode_photo, read_photo
from gradcam_jax.images.preprocessing import (
    CAFFE_ALEXNET,
    EFFICIENTNET_LITE,
    ORIGINAL,
    PREPROCESSINGS,
    TORCHVISION,
    as_integers,
    crop_bicubic,
    crop_bilinear,
    find_preprocessing,
    stretch_bicubic,
    stretch_torch7,
    to_network,
    to_rgb,
)
from tests.attribution.test_resize import torch7_by_loops
from tests.comparison import assert_close

PHOTO = np.random.default_rng(0).integers(0, 256, (30, 44, 3), dtype=np.uint8)


@pytest.mark.parametrize("resize", [stretch_torch7, stretch_bicubic, crop_bilinear, crop_bicubic])
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (700, 3), (30, 44)])
def test_any_shape_is_resized(resize, shape):
    photo = np.full((*shape, 3), 51, np.uint8)
    image, (left, top, right, bottom) = resize(photo, 32)
    assert image.shape == (32, 32, 3)
    assert image.dtype == (np.float32 if resize is stretch_torch7 else np.uint8)
    np.testing.assert_allclose(image, 0.2 if resize is stretch_torch7 else 51, atol=1e-6)
    assert 0 <= left < right <= shape[1]
    assert 0 <= top < bottom <= shape[0]


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


@pytest.mark.parametrize("preprocessing", PREPROCESSINGS.values(), ids=PREPROCESSINGS)
def test_gradients_come_back_in_rgb(preprocessing):
    red = np.zeros((1, 1, 3), np.float32)
    red[..., 0] = 1
    moved = to_network(red, preprocessing) - to_network(np.zeros_like(red), preprocessing)
    assert to_rgb(moved, preprocessing)[0, 0].argmax() == 0


@pytest.mark.parametrize("preprocessing", PREPROCESSINGS.values(), ids=PREPROCESSINGS)
@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.uint16])
def test_numpy_and_jax_arrays_give_the_same_numbers(preprocessing, dtype):
    whole = {np.float32: PHOTO / np.float32(255), np.uint8: PHOTO, np.uint16: PHOTO * np.uint16(257)}
    image = whole[dtype]
    assert_close(to_network(image, preprocessing), to_network(whole[np.float32], preprocessing), 1e-6)
    alone = to_network(image, preprocessing)
    assert isinstance(alone, np.ndarray)
    eager = to_network(jnp.asarray(image), preprocessing)
    assert isinstance(eager, jax.Array)
    assert_close(eager, alone, 1e-6)  # XLA's division may differ in the last bit
    batch = jax.jit(lambda images: to_network(images, preprocessing))(jnp.asarray(image)[None])
    assert alone.dtype == eager.dtype == batch.dtype == np.float32
    assert_close(batch[0], alone, 1e-6)
    np.testing.assert_array_equal(to_rgb(jnp.asarray(alone), preprocessing), to_rgb(alone, preprocessing))


@pytest.mark.parametrize(
    ("resize", "filter_"),
    [(stretch_bicubic, PIL.Image.Resampling.BICUBIC), (crop_bilinear, PIL.Image.Resampling.BILINEAR)],
)
def test_bytes_stay_bytes_and_are_what_floats_would_round_to(tmp_path, resize, filter_):
    PIL.Image.fromarray(PHOTO).save(tmp_path / "photo.jpg")
    size = (32, 32) if resize is stretch_bicubic else (54, 37)  # 32 * 256 / 224, with the photo's proportions
    floats = np.asarray(PIL.Image.fromarray(read_photo(tmp_path / "photo.jpg")).resize(size, filter_), np.float32)
    rounded = np.rint(floats / np.float32(255) * 255).astype(np.uint8)
    if resize is crop_bilinear:
        rounded = rounded[2:34, 11:43]
    decoded = decode_photo(io.BytesIO((tmp_path / "photo.jpg").read_bytes()), "photo.jpg")
    for photo in (decoded, np.asarray(decoded)):
        image = resize(photo, 32).image
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, rounded)


@pytest.mark.parametrize("preprocessing", PREPROCESSINGS.values(), ids=PREPROCESSINGS)
def test_fixed_point_is_off_by_less_than_its_step(preprocessing):
    image = preprocessing.resize(PHOTO, 16).image
    assert image.dtype == (np.uint8 if preprocessing.in_bytes else np.float32)
    if preprocessing.in_bytes:
        assert as_integers(image, np.uint8) is image
        return
    fixed = as_integers(image, np.uint16)
    assert np.abs(fixed / 65535 - image).max() <= 1.02 / 131070  # and float32's own rounding
    difference = to_network(fixed, preprocessing) - to_network(image, preprocessing)
    assert np.abs(difference).max() < 0.002  # of the 256 steps of a byte


def test_a_preprocessing_is_found_by_name_or_the_nearest_are_listed():
    assert find_preprocessing("torchvision") is TORCHVISION
    with pytest.raises(InputError, match=r"There is no recipe 'torchvison'\. Nearest: torchvision"):
        find_preprocessing("torchvison")


@pytest.mark.parametrize("make", [np.asarray, jnp.asarray])
@pytest.mark.parametrize(
    ("image", "message"),
    [
        (PHOTO.astype(np.float32), r"RGB in \[0, 1\], got values from 0 to 2.*divide them by 255"),
        (PHOTO.astype(np.float32) - 128, r"RGB in \[0, 1\], got values from -128"),
        (np.full((4, 4, 3), np.nan, np.float32), "got values from nan"),
        (PHOTO.astype(np.int32), r"uint8 or uint16.*got int32.*astype\('uint8'\)"),
        (np.moveaxis(PHOTO, -1, 0) / np.float32(255), r"\(\.\.\., H, W, 3\), got shape \(3, "),
        (PHOTO[..., 0], r"\(\.\.\., H, W, 3\), got shape"),
    ],
)
def test_what_is_no_rgb_in_0_to_1_is_refused(make, image, message):
    with pytest.raises(InputError, match=message):
        to_network(make(image), TORCHVISION)


def test_a_resampling_filters_overshoot_is_taken():
    image = np.array([[[-0.1, 0.5, 1.1]]], np.float32)
    assert np.isfinite(to_network(image, TORCHVISION)).all()

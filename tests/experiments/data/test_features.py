"""Batching, padding and the cache on disk."""

import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.features import cached, encode_images


def _encode(images):
    return {"mean": jnp.mean(images, axis=(1, 2, 3)), "corner": images[:, 0, 0]}


@pytest.mark.parametrize("count", [1, 3, 4, 7])
def test_every_image_is_encoded_in_order_whatever_the_batch(count):
    images = np.random.default_rng(0).random((count, 2, 2, 3)).astype(np.float32)
    done = []
    arrays = encode_images(_encode, iter(images), count, batch_size=3, report=done.append)
    np.testing.assert_allclose(arrays["mean"], images.mean(axis=(1, 2, 3)), rtol=1e-6)
    np.testing.assert_array_equal(arrays["corner"], images[:, 0, 0])
    assert done[-1] == count


def test_too_few_images_are_an_error():
    with pytest.raises(InputError, match="Expected 5 images, got 4 instead"):
        encode_images(_encode, iter(np.zeros((4, 2, 2, 3), np.float32)), 5, batch_size=3)


def test_no_images_are_an_error():
    with pytest.raises(InputError, match="at least one image"):
        encode_images(_encode, iter(()), 0)


def test_the_cache_is_used_only_for_what_it_was_made_of(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return {"x": np.full(2, len(calls))}

    path = tmp_path / "deep" / "x.safetensors"
    results = [cached(path, {"size": size}, compute)["x"][0] for size in (224, 224, 320, 320)]
    assert results == [1, 1, 2, 2]


@pytest.mark.parametrize("content", [b"", b"\x40\0\0\0\0\0\0\0{", b"no safetensors"])
def test_a_damaged_cache_is_made_again(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    np.testing.assert_array_equal(cached(path, {}, lambda: {"x": np.ones(2)})["x"], np.ones(2))
    np.testing.assert_array_equal(cached(path, {}, lambda: {})["x"], np.ones(2))

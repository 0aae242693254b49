"""Batching, padding and the cache on disk."""

import functools
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.features import cached, encode_views
from gradcam_jax.experiments.data.photos import Photo
from gradcam_jax.experiments.data.views import Part, view_of

COUNT = 35  # two batches and a part of one


@pytest.fixture
def views():
    loads = [functools.partial(np.full, (4, 6, 3), shade, np.uint8) for shade in range(COUNT)]
    return [view_of(Part(Photo("", Path(), (), False, load=load))) for load in loads]


@pytest.mark.parametrize("count", [1, 16, COUNT])
def test_every_view_is_encoded_in_order_in_batches_of_one_shape(views, count):
    done, shapes = [], []

    def encode(images):
        shapes.append(images.shape)
        return {"mean": jnp.mean(images, axis=(1, 2, 3)), "corner": images[:, 0, 0]}

    arrays = encode_views(encode, views[:count], 2, done.append)
    np.testing.assert_allclose(arrays["mean"], np.arange(count) / 255, rtol=1e-6)
    np.testing.assert_allclose(arrays["corner"][:, 1], np.arange(count) / 255, rtol=1e-6)
    assert done[-1] == count
    assert shapes == [(16, 2, 2, 3)]


def test_no_views_are_an_error():
    with pytest.raises(InputError, match="at least one"):
        encode_views(lambda images: {"x": images}, [], 2)


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

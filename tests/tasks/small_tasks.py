"""A model of each task, on pictures of 32 by 32, with random weights: explained in no time."""

import functools

import jax.numpy as jnp
import numpy as np

from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.images import preprocessing
from gradcam_jax.models.captioner import Captioner
from gradcam_jax.models.vgg import VGG
from gradcam_jax.models.vqa import VQA
from gradcam_jax.text.ilsvrc import imagenet_classes
from gradcam_jax.text.vocabulary import Vocabulary
from gradcam_jax.zoo import Card, Entry, Loaded, build_model, example_inputs
from tests.comparison import kaiming_variables

SIZE = 32
ANSWERS = ("yes", "no", "dog", "cat", "red", "two", "a cup")
QUESTION_WORDS = ("what", "is", "this", "animal", "?", "UNK")
CAPTION_WORDS = ("a", "dog", "and", "cat", "on", "the", "grass", "UNK")
RGB = preprocessing.EFFICIENTNET_LITE._replace(size=SIZE)
# Small numbers, at which no LSTM's gate saturates: past one that does, float32 holds few digits of a gradient.
BGR = RGB._replace(order="BGR")


def small_cnn(**fields):
    return VGG((1, 1), (6, 8), hidden=12, input_size=SIZE, **fields)


def small_vqa(words, answers, **fields):
    sizes = {"embedding": 5, "hidden": 6, "common": 8}
    return VQA(cnn=small_cnn(classes=None), words=words, answers=answers, **sizes | fields)


def small_captioner(words, **fields):
    sizes = {"embedding_size": 10, "hidden_size": 12}
    return Captioner(cnn=small_cnn(classes=None), words=words, **sizes | fields)


ENTRIES = {
    "classification": Entry("small", "classification", small_cnn, "relu2_1", RGB, SIZE, trained_by="make it"),
    "vqa": Entry("small_vqa", "vqa", small_vqa, "cnn/relu2_1", BGR, SIZE, trained_by="make it"),
    "captioning": Entry(
        "small_captioner", "captioning", small_captioner, "cnn/relu2_1", BGR, SIZE, trained_by="make it"
    ),
}
# Of weights at which maps are no small differences of large numbers: float32 holds them to six digits.
SEEDS = {"classification": 0, "vqa": 1, "captioning": 9}
WORDS = {"classification": (), "vqa": QUESTION_WORDS, "captioning": CAPTION_WORDS}
LABELS = {"classification": (), "vqa": ANSWERS, "captioning": ()}


@functools.cache
def small(task):
    """Returns a loaded model of a task; its names are not in the zoo."""
    entry = ENTRIES[task]
    labels, words = LABELS[task], WORDS[task]
    model = build_model(entry, labels, words)
    variables = kaiming_variables(variable_shapes(model, *example_inputs(entry)), SEEDS[task])
    if task == "captioning":
        variables["params"]["decoder"]["bias"][-1] = -2  # else captions end at once
    card = Card(entry.name, entry.preprocessing.name, "none: random numbers", 0, labels=labels, words=words)
    names = labels or ([f"{c.name} ({c.label})" for c in imagenet_classes()] if task == "classification" else ())
    return Loaded(entry, model, variables, Vocabulary(names), Vocabulary(words), card, {})


def small_classifier():
    return small("classification")


def photo(seed=0, size=(40, 36)):
    """Returns random colours in patches, uint8 ``(H, W, 3)``."""
    width, height = size
    patches = np.random.default_rng(seed).integers(0, 255, (height // 4, width // 4, 3), np.uint8)
    return np.asarray(jnp.repeat(jnp.repeat(patches, 4, axis=0), 4, axis=1))

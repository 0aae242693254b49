"""A model of each task that is done in no time, as entries of the zoo with checkpoints: ``small_TASK``."""

import functools

import numpy as np
import PIL.Image

from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.images.preprocessing import ORIGINAL, stretch_bicubic
from gradcam_jax.models.captioner import Captioner
from gradcam_jax.models.vgg import VGG
from gradcam_jax.models.vqa import VQA
from gradcam_jax.zoo import (
    CHECKPOINTS_VARIABLE,
    MODELS,
    Card,
    Entry,
    build_model,
    example_inputs,
    write_checkpoint,
)
from tests.comparison import kaiming_variables
from tests.models import small_captioner
from tests.pipeline import small_task
from tests.pipeline.small_task import SIZE

TASKS = ("classification", "vqa", "captioning")
# The original's, but for its resize: bytes reach the device as one photo alone has them.
BYTES = ORIGINAL._replace(resize=stretch_bicubic, in_bytes=True)
WORDS, ANSWERS = ("what", "animal", "?", "is", "there", "a", "dog", "UNK"), ("yes", "no", "dog", "24/7", "Cat")
CAPTION_WORDS = (*(f"word{number}" for number in range(small_captioner.WORDS - 4)), "dog", "Dog", "a", "UNK")


def build_classifier(input_size=None, **fields):
    return small_task.build().clone(input_size=input_size, **fields)


def build_vqa(words, answers, input_size=None, **sizes):
    cnn = VGG((1, 1), (4, 6), hidden=10, classes=None, input_size=input_size)
    return VQA(cnn=cnn, words=words, answers=answers, **{"embedding": 4, "hidden": 5, "common": 6} | sizes)


def build_captioner(words, input_size=None, **sizes):
    cnn = small_captioner.small_captioner().cnn.clone(input_size=input_size)
    return Captioner(cnn=cnn, words=words, **{"embedding_size": 14, "hidden_size": 16} | sizes)


ENTRIES = {
    "classification": small_task.ENTRY._replace(name="small_classification", build=build_classifier),
    "vqa": Entry("small_vqa", "vqa", build_vqa, "cnn/relu2_1", BYTES, SIZE, trained_by="make it"),
    "captioning": Entry(
        "small_captioning",
        "captioning",
        build_captioner,
        "cnn/relu2_1",
        BYTES._replace(size=SIZE),
        SIZE,
        trained_by="make it",
    ),
}
_TEXTS = {
    "classification": {},
    "vqa": {"labels": ANSWERS, "words": WORDS},
    "captioning": {"words": CAPTION_WORDS},
}


def add_small_models(folder, patch, input_size=None):
    """Writes checkpoints into a folder and adds the models to the zoo, until the patch is undone.

    They take images of any size unless one is given.
    """
    patch.setenv(CHECKPOINTS_VARIABLE, str(folder))
    for task, entry in ENTRIES.items():
        entry = entry._replace(build=functools.partial(entry.build, input_size=input_size))
        patch.setitem(MODELS, entry.name, entry)
        texts = _TEXTS[task]
        model = build_model(entry, texts.get("labels", ()), texts.get("words", ()))
        variables = kaiming_variables(variable_shapes(model, *example_inputs(entry)))
        if task == "captioning":
            variables["params"]["decoder"]["bias"][-1] = -2  # else captions end at once
        write_checkpoint(
            folder / f"{entry.name}.safetensors", variables, Card(entry.name, "original", "none", 0, **texts)
        )


def write_photo(path, size=(60, 40), seed=0):
    """Writes one photo of random colours."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    PIL.Image.fromarray(pixels).save(path)
    return path

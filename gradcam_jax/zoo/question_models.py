"""The known VQA models: how each is built, fed and mapped, and where its weights, words and answers are.

A model's checkpoint carries its words and answers in its card. The bundled one holds the head alone, on the CNN
of the zoo's default classifier; the original's, converted from ``lstm.t7``, holds everything.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.errors import CheckpointError
from gradcam_jax.images import preprocessing
from gradcam_jax.interception.transition import layer_shapes
from gradcam_jax.models.vqa import VQA, vqa_lite0, vqa_small, vqa_vgg19
from gradcam_jax.text.questions import MAX_QUESTION_TOKENS
from gradcam_jax.text.vocabulary import Vocabulary
from gradcam_jax.zoo.checkpoint import Card, read_card, read_checkpoint
from gradcam_jax.zoo.heads import checkpoint_path, choose_layer, head_variables, spatial_cnn_layers

DEFAULT = "vqa_lite0"
"""The model used unless another is named."""


class Entry(NamedTuple):
    """One VQA model.

    Attributes:
        build: From the numbers of words and answers to its model; further fields are read off the weights.
        cnn: The zoo's classifier whose weights its CNN has, or None if its checkpoint holds them.
        layer: The layer that is mapped unless another is named.
        recipe: Its preprocessing.
        size: Side of the image that it is explained at, in pixels.
        get: The command that brings its weights.
    """

    build: Callable[..., VQA]
    cnn: str | None
    layer: str
    recipe: preprocessing.Preprocessing
    size: int
    get: str


class QuestionModel(NamedTuple):
    """A VQA model with its weights, words and answers.

    Attributes:
        name: Its name.
        entry: How it is fed and mapped.
        model: The Linen module.
        variables: Its variables.
        words: The questions' words.
        answers: The answers.
        card: Its checkpoint's card.
    """

    name: str
    entry: Entry
    model: VQA
    variables: dict[str, Any]
    words: Vocabulary
    answers: Vocabulary
    card: Card


QUESTION_MODELS = {
    "vqa_lite0": Entry(
        build=vqa_lite0,
        cnn="efficientnet_lite0",
        layer="cnn/head_relu",
        recipe=preprocessing.EFFICIENTNET_LITE,
        size=320,  # A map of 10x10 points better than the 7x7 of 224; trained at this size too.
        get="python scripts/train.py --task vqa --data DIR",
    ),
    "vqa_vgg19": Entry(
        build=vqa_vgg19,
        cnn=None,
        layer="cnn/relu5_4",
        recipe=preprocessing.ORIGINAL,
        size=224,
        get="python scripts/download_checkpoints.py vqa_vgg19",
    ),
    "vqa_easy": Entry(
        build=vqa_small,
        cnn=None,
        layer="cnn/relu2_1",  # 32x32: the 4-pixel cells of relu3_1 are often highest just outside an outline.
        recipe=preprocessing.EASY_VQA,
        size=64,
        get="python scripts/train.py --task vqa --dataset easy_vqa",
    ),
}
"""Every VQA model by name."""


def load_question_model(name_or_path: str = DEFAULT) -> QuestionModel:
    """Reads a VQA model.

    Args:
        name_or_path: A name of :data:`QUESTION_MODELS`, or a checkpoint of one.

    Raises:
        InputError: If there is no such model, or its weights are not here; the message tells how to get them.
        CheckpointError: If the weights do not fit.
    """
    commands = {name: entry.get for name, entry in QUESTION_MODELS.items()}
    path = checkpoint_path(
        name_or_path, commands, kind="VQA model", torch7_files="vqa_vgg19 {} CAFFEMODEL data_prepro.json"
    )
    name = read_card(path).model
    if name not in QUESTION_MODELS:
        known = ", ".join(QUESTION_MODELS)
        raise CheckpointError(f"{str(path)!r} holds {name}, which answers no questions ({known} do).")
    entry = QUESTION_MODELS[name]
    arrays, card = read_checkpoint(path)
    model = entry.build(len(card.words), len(card.labels), **_sizes(arrays, path))
    expected = variable_shapes(model, *example_inputs(entry))
    variables = head_variables(arrays, expected, entry.cnn)
    return QuestionModel(name, entry, model, variables, Vocabulary(card.words), Vocabulary(card.labels), card)


def example_inputs(entry: Entry, size: int | None = None) -> tuple[jax.ShapeDtypeStruct, ...]:
    """Returns the shapes of an image, of a question's word indices and of its length."""
    side = size or entry.size
    image = jax.ShapeDtypeStruct((side, side, 3), jnp.float32)
    return image, jax.ShapeDtypeStruct((MAX_QUESTION_TOKENS,), jnp.int32), jax.ShapeDtypeStruct((), jnp.int32)


def spatial_layers(model: QuestionModel, size: int | None = None) -> dict[str, tuple[int, ...]]:
    """Lists the layers that can be mapped, in the order of their calls, with their shapes ``(h, w, k)``."""
    shapes = layer_shapes(model.model, model.variables, *example_inputs(model.entry, size))
    return spatial_cnn_layers(shapes)


def find_layer(model: QuestionModel, name: str, size: int | None = None) -> str:
    """Returns a layer that can be mapped, by its name or by its 1-based number as in the original program.

    Args:
        model: The model.
        name: ``"relu5_4"`` or ``"cnn/relu5_4"``; or a number among the layers with spatial extent. Empty: the
            model's own.
        size: Side of the image, in pixels.

    Raises:
        LayerError: If there is no such layer; the nearest are listed.
        InputError: If there is no layer of that number.
    """
    return choose_layer(list(spatial_layers(model, size)), name or model.entry.layer)


def _sizes(arrays: Mapping[str, np.ndarray], path: Path) -> dict[str, int]:
    """Reads the vectors' lengths off the weights, so that a head of other sizes needs no entry of its own."""
    shapes = {key: array.shape for key, array in arrays.items()}
    try:
        return {
            "embedding": shapes["params/word_embedding/kernel"][1],
            "hidden": shapes["params/lstm_1/h2h/kernel"][0],
            "common": shapes["params/classifier/kernel"][0],
        }
    except (KeyError, IndexError) as error:
        raise CheckpointError(f"{str(path)!r} lacks a VQA model's word embedding, LSTM or classifier.") from error

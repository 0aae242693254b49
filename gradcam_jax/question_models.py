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

from gradcam_jax import preprocessing, zoo
from gradcam_jax.checkpoint import Card, read_card, read_checkpoint
from gradcam_jax.conversion.rules import convert, unchanged, variable_shapes
from gradcam_jax.errors import CheckpointError, InputError
from gradcam_jax.interception.linen import layer_shapes
from gradcam_jax.interception.names import nearest, require_layers
from gradcam_jax.models.vqa import VQA, vqa_lite0, vqa_vgg19
from gradcam_jax.text import MAX_QUESTION_TOKENS, Vocabulary

DEFAULT = "vqa_lite0"
"""The model used unless another is named."""

_CNN = "cnn/"


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
    recipe: preprocessing.Recipe
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
        size=320,  # A head trained at 224 points better with a map of 10x10.
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
    path = _checkpoint_path(name_or_path)
    name = read_card(path).model
    if name not in QUESTION_MODELS:
        known = ", ".join(QUESTION_MODELS)
        raise CheckpointError(f"{str(path)!r} holds {name}, which answers no questions ({known} do).")
    entry = QUESTION_MODELS[name]
    arrays, card = read_checkpoint(path)
    model = entry.build(len(card.words), len(card.labels), **_sizes(arrays, path))
    expected = variable_shapes(model, *example_inputs(entry))
    if entry.cnn is None:
        variables = convert(arrays, unchanged(expected), expected)
    else:
        variables = with_cnn(convert_head(arrays, expected), entry.cnn)
    return QuestionModel(name, entry, model, variables, Vocabulary(card.words), Vocabulary(card.labels), card)


def convert_head(arrays: Mapping[str, np.ndarray], expected: Mapping[str, Any]) -> dict[str, Any]:
    """Checks a head's arrays against a model's variables, the CNN's left out, and returns its parameters."""
    head = {"params": {name: leaf for name, leaf in expected["params"].items() if name != "cnn"}}
    return convert(arrays, unchanged(head), head)["params"]


def with_cnn(head: Mapping[str, Any], cnn: str) -> dict[str, Any]:
    """Returns a model's variables: a head's parameters, on a classifier's without its last layer.

    Args:
        head: The head's parameters.
        cnn: The classifier's name in the zoo.
    """
    entry = zoo.find_entry(cnn)
    without_classifier = variable_shapes(entry.build(classes=None), zoo.example_image(entry))["params"]
    variables = dict(zoo.load_variables(entry))
    params = {name: leaf for name, leaf in variables.pop("params").items() if name in without_classifier}
    others = {collection: {"cnn": leaves} for collection, leaves in variables.items()}
    return {"params": {**head, "cnn": params}, **others}


def example_inputs(entry: Entry, size: int | None = None) -> tuple[jax.ShapeDtypeStruct, ...]:
    """Returns the shapes of an image, of a question's word indices and of its length."""
    side = size or entry.size
    image = jax.ShapeDtypeStruct((side, side, 3), jnp.float32)
    return image, jax.ShapeDtypeStruct((MAX_QUESTION_TOKENS,), jnp.int32), jax.ShapeDtypeStruct((), jnp.int32)


def spatial_layers(model: QuestionModel, size: int | None = None) -> dict[str, tuple[int, ...]]:
    """Lists the layers that can be mapped, in the order of their calls, with their shapes ``(h, w, k)``."""
    shapes = layer_shapes(model.model, model.variables, *example_inputs(model.entry, size))
    return {name: leaf.shape for name, leaf in shapes.items() if name.startswith(_CNN) and len(leaf.shape) == 3}


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
    layers = list(spatial_layers(model, size))
    if name.isdigit():
        if not 1 <= int(name) <= len(layers):
            raise InputError(f"Expected a layer number from 1 to {len(layers)}, got {name} instead.")
        return layers[int(name) - 1]
    wanted = name or model.entry.layer
    wanted = wanted if wanted.startswith(_CNN) else _CNN + wanted
    require_layers([wanted], layers)
    return wanted


def _checkpoint_path(name_or_path: str) -> Path:
    if name_or_path in QUESTION_MODELS:
        files = [folder / (name_or_path + zoo.CHECKPOINT_SUFFIX) for folder in zoo.checkpoint_folders()]
        path = next((file for file in files if file.is_file()), None)
        if path is None:
            get = QUESTION_MODELS[name_or_path].get
            raise InputError(f"The weights of {name_or_path} are not here. Get them with:  {get}")
        return path
    path = Path(name_or_path)
    if path.suffix == ".t7":
        raise InputError(
            f"{name_or_path!r} is a Torch7 file. Convert it once, with VGG-19 and the vocabulary of it:  "
            f"python scripts/convert_checkpoint.py --model vqa_vgg19 {name_or_path} CAFFEMODEL data_prepro.json"
        )
    if not path.is_file():
        near = nearest(name_or_path, QUESTION_MODELS) or list(QUESTION_MODELS)
        raise InputError(f"There is no VQA model or file {name_or_path!r}. Nearest: {', '.join(near)}.")
    return path


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

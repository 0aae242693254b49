"""The known captioners: how each is built, fed and mapped, and where its weights and words are.

A captioner's checkpoint carries its words in its card. The bundled one holds the head alone, on the CNN of the
zoo's default classifier; neuraltalk2's, converted from its ``.t7`` file, holds everything.
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
from gradcam_jax.models.captioner import MAX_WORDS, Captioner, captioner_lite0, neuraltalk2
from gradcam_jax.text.vocabulary import Vocabulary
from gradcam_jax.zoo.checkpoint import Card, read_card, read_checkpoint
from gradcam_jax.zoo.heads import checkpoint_path, choose_layer, head_variables, spatial_cnn_layers

DEFAULT = "captioner_lite0"
"""The captioner used unless another is named."""

MEAN_FEATURES = "statistics/mean_features"
"""Key of a checkpoint's mean of the CNN's features over the training photos."""


class Entry(NamedTuple):
    """One captioner.

    Attributes:
        build: From the number of words to its model; further fields are read off the weights.
        cnn: The zoo's classifier whose weights its CNN has, or None if its checkpoint holds them.
        layer: The layer that is mapped unless another is named.
        recipe: Its preprocessing.
        get: The command that brings its weights.
    """

    build: Callable[..., Captioner]
    cnn: str | None
    layer: str
    recipe: preprocessing.Preprocessing
    get: str


class LoadedCaptioner(NamedTuple):
    """A captioner with its weights and words.

    Attributes:
        name: Its name.
        entry: How it is fed and mapped.
        model: The Linen module.
        variables: Its variables.
        vocabulary: Its words.
        card: Its checkpoint's card.
        mean_features: Mean of the CNN's features over the training photos, ``(F,)``, or None if unknown.
    """

    name: str
    entry: Entry
    model: Captioner
    variables: dict[str, Any]
    vocabulary: Vocabulary
    card: Card
    mean_features: np.ndarray | None


CAPTIONERS = {
    "captioner_lite0": Entry(
        build=captioner_lite0,
        cnn="efficientnet_lite0",
        layer="cnn/head_relu",
        recipe=preprocessing.EFFICIENTNET_LITE,
        get="python scripts/train.py --task captioning --data DIR",
    ),
    # The original program feeds BGR to this model, which was last trained on RGB: see preprocessing.NEURALTALK2.
    "captioner_vgg16": Entry(
        build=neuraltalk2,
        cnn=None,
        layer="cnn/relu5_3",
        recipe=preprocessing.ORIGINAL,
        get="python scripts/download_checkpoints.py captioner_vgg16",
    ),
}
"""Every captioner by name."""


def load_captioner(name_or_path: str = DEFAULT) -> LoadedCaptioner:
    """Reads a captioner.

    Args:
        name_or_path: A name of :data:`CAPTIONERS`, or a checkpoint of one.

    Raises:
        InputError: If there is no such captioner, or its weights are not here; the message tells how to get them.
        CheckpointError: If the weights do not fit.
    """
    commands = {name: entry.get for name, entry in CAPTIONERS.items()}
    path = checkpoint_path(name_or_path, commands, kind="captioner", torch7_files="captioner_vgg16 {}")
    name = read_card(path).model
    if name not in CAPTIONERS:
        raise CheckpointError(f"{str(path)!r} holds {name}, which is no captioner ({', '.join(CAPTIONERS)}).")
    entry = CAPTIONERS[name]
    arrays, card = read_checkpoint(path)
    arrays = dict(arrays)
    mean_features = arrays.pop(MEAN_FEATURES, None)
    model = entry.build(len(card.words), **_sizes(arrays, path))
    expected = variable_shapes(model, *example_inputs(entry))
    variables = head_variables(arrays, expected, entry.cnn)
    return LoadedCaptioner(name, entry, model, variables, Vocabulary(card.words), card, mean_features)


def example_inputs(entry: Entry, size: int | None = None) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    """Returns the shapes of an image and of a caption that a captioner takes."""
    side = size or entry.recipe.size
    image = jax.ShapeDtypeStruct((side, side, 3), jnp.float32)
    return image, jax.ShapeDtypeStruct((MAX_WORDS,), jnp.int32)


def spatial_layers(captioner: LoadedCaptioner, size: int | None = None) -> dict[str, tuple[int, ...]]:
    """Lists the layers that can be mapped, in the order of their calls, with their shapes ``(h, w, k)``."""
    inputs = example_inputs(captioner.entry, size)
    shapes = layer_shapes(captioner.model, captioner.variables, *inputs, method="word_scores")
    return spatial_cnn_layers(shapes)


def find_layer(captioner: LoadedCaptioner, name: str, size: int | None = None) -> str:
    """Returns a layer that can be mapped, by its name or by its 1-based number as in the original program.

    Args:
        captioner: The captioner.
        name: ``"relu5_3"`` or ``"cnn/relu5_3"``; or ``"30"``, the 30th layer with spatial extent, which is
            ``relu5_3`` in VGG-16. Empty: the captioner's own.
        size: Side of the image, in pixels.

    Raises:
        LayerError: If there is no such layer; the nearest are listed.
        InputError: If there is no layer of that number.
    """
    return choose_layer(list(spatial_layers(captioner, size)), name or captioner.entry.layer)


def _sizes(arrays: Mapping[str, np.ndarray], path: Path) -> dict[str, int]:
    """Reads the vectors' lengths off the weights, so that a head of other sizes needs no entry of its own."""
    shapes = {key: array.shape for key, array in arrays.items()}
    try:
        embedding = shapes["params/word_embedding/embedding"][1]
        hidden = shapes["params/lstm/h2h/kernel"][0]
    except (KeyError, IndexError) as error:
        raise CheckpointError(f"{str(path)!r} lacks a captioner's word embedding or LSTM.") from error
    return {"embedding_size": embedding, "hidden_size": hidden}

"""From an entry to its Linen module: the inputs that it takes, its sizes, and random weights for it."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.errors import CheckpointError
from gradcam_jax.models.captioner import MAX_WORDS
from gradcam_jax.text.questions import MAX_QUESTION_TOKENS
from gradcam_jax.zoo.entries import Entry

# Task -> field of the module -> the array that it is read off, and the axis.
_SIZES: Mapping[str, Mapping[str, tuple[str, int]]] = {
    "classification": {},
    "vqa": {
        "embedding": ("params/word_embedding/kernel", 1),
        "hidden": ("params/lstm_1/h2h/kernel", 0),
        "common": ("params/classifier/kernel", 0),
    },
    "captioning": {
        "embedding_size": ("params/word_embedding/embedding", 1),
        "hidden_size": ("params/lstm/h2h/kernel", 0),
    },
}


def example_inputs(entry: Entry, size: int | None = None) -> tuple[jax.ShapeDtypeStruct, ...]:
    """Returns the shapes of one example of a model's inputs.

    Args:
        entry: The model's entry.
        size: Side of the image, in pixels; None: the entry's.

    Returns:
        An image; for VQA also the question's word indices and its length; for captioning also the caption's words.
    """
    side = size or entry.size
    text = {
        "classification": (),
        "vqa": (jax.ShapeDtypeStruct((MAX_QUESTION_TOKENS,), jnp.int32), jax.ShapeDtypeStruct((), jnp.int32)),
        "captioning": (jax.ShapeDtypeStruct((MAX_WORDS,), jnp.int32),),
    }
    return jax.ShapeDtypeStruct((side, side, 3), jnp.float32), *text[entry.task]


def build_model(
    entry: Entry,
    labels: Sequence[str],
    words: Sequence[str],
    **sizes: int,
) -> Any:
    """Returns an entry's Linen module with outputs for these labels and rows for these words.

    Args:
        entry: The model's entry.
        labels: Classes or answers; a classifier without labels has as many classes as it is published with.
        words: The words of its questions or captions.
        **sizes: The lengths of its vectors, as :func:`sizes_of` returns them; without, those that the entry has.
    """
    counts = {
        "classification": {"classes": len(labels)} if labels else {},
        "vqa": {"words": len(words), "answers": len(labels)},
        "captioning": {"words": len(words)},
    }
    return entry.build(**counts[entry.task], **sizes)


def sizes_of(entry: Entry, arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Returns the lengths of a model's vectors, read off its checkpoint's arrays.

    Args:
        entry: The model's entry.
        arrays: Path such as ``"params/fc8/bias"`` -> array.

    Returns:
        Field of the module -> length; a head of other sizes than the entry's needs no entry of its own.

    Raises:
        CheckpointError: If an array is missing.
    """
    sizes = {}
    for field, (key, axis) in _SIZES[entry.task].items():
        if key not in arrays or arrays[key].ndim <= axis:
            raise CheckpointError(f"Expected the weights of {entry.name}, but {key} is missing.")
        sizes[field] = arrays[key].shape[axis]
    return sizes


def random_variables(model: Any, *inputs: jax.ShapeDtypeStruct, seed: int = 0) -> Any:
    """Draws He-normal kernels and N(0, .05) biases, at which activations keep their scale.

    Args:
        model: A Linen module.
        *inputs: Shapes of its inputs.
        seed: Seed of the drawing.

    Returns:
        The model's variables, float32 numpy arrays; scales and variances are 1.
    """
    generator = np.random.default_rng(seed)

    def draw(path: Any, leaf: Any) -> np.ndarray:
        if path[-1].key in ("scale", "var"):
            return np.ones(leaf.shape, np.float32)
        spread = np.sqrt(2 / np.prod(leaf.shape[:-1])) if len(leaf.shape) > 1 else 0.05
        return generator.standard_normal(leaf.shape, np.float32) * np.float32(spread)

    return jax.tree_util.tree_map_with_path(draw, variable_shapes(model, *inputs))

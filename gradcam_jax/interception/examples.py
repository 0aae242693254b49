"""One example as the batch of one that most models take, and their outputs as one example's."""

from typing import Any

import jax
import jax.numpy as jnp

from gradcam_jax.errors import InputError


def as_batch(tree: Any, batch_axis: bool) -> Any:
    """Gives every array a leading axis of length 1, if there is a batch axis."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[jnp.newaxis], tree) if batch_axis else tree


def as_example(tree: Any, batch_axis: bool, model: str) -> Any:
    """Takes the leading axis of length 1 off every array but single numbers, if there is a batch axis.

    Args:
        tree: The model's outputs.
        batch_axis: Whether the model takes and returns batches.
        model: Its name, for the message.

    Raises:
        InputError: If an array has no such axis, or something else than an array is among the outputs.
    """

    def take_axis_off(leaf: jax.Array) -> jax.Array:
        if not hasattr(leaf, "ndim"):
            raise InputError(
                f"Expected {model} to return arrays, or a tree of them such as a tuple, a dictionary or a "
                f"flax.struct.dataclass, got {type(leaf).__name__} instead. A dataclass of your own becomes one "
                "by jax.tree_util.register_dataclass."
            )
        if leaf.ndim and leaf.shape[0] != 1:
            raise InputError(
                f"Expected {model} to keep the batch axis of length 1 that it is given, got shape {leaf.shape} "
                "instead. If it takes one example: tapped(..., batch_axis=False)."
            )
        return leaf[0] if leaf.ndim else leaf

    return jax.tree.map(take_axis_off, tree) if batch_axis else tree

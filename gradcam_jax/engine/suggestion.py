"""Which layer to map, for a model whose layers one does not know."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.attribution.gradients import layer_grads
from gradcam_jax.errors import InputError
from gradcam_jax.interception.tapped import Tapped, layer_shapes


class Suggestion(NamedTuple):
    """A layer to map.

    Attributes:
        layer: Its name.
        reason: Why it is this one.
    """

    layer: str
    reason: str


def suggest_layer(forward: Tapped, image: Any, *inputs: Any) -> Suggestion:
    """Names the last layer with a spatial extent at most of whose positions the outputs still have a gradient.

    Later layers see more of the image and speak more of classes; past a global pooling there are no positions, and
    behind a transformer's last attention only the class token counts. Runs a small program: one image, forward
    and back.

    Args:
        forward: A tapped model; its own layers do not matter, there need be none.
        image: An image as the model takes it; of a shape alone a random one is made.
        *inputs: One example of the model's further inputs.

    Returns:
        A :class:`Suggestion`.

    Raises:
        InputError: If no layer has a spatial extent.

    Example:
        >>> import flax.linen as nn, gradcam_jax as gc, jax, jax.numpy as jnp
        >>> class Classifier(nn.Module):
        ...     @nn.compact
        ...     def __call__(self, x):
        ...         x = nn.relu(nn.Conv(8, (3, 3), strides=2, name="conv")(x))
        ...         return nn.Dense(10, name="head")(x.mean((1, 2)))
        >>> model, image = Classifier(), jnp.ones((16, 16, 3))
        >>> forward = gc.tapped(model, model.init(jax.random.key(0), image[None]))
        >>> suggestion = suggest_layer(forward, image)
        >>> suggestion.layer
        'conv.relu'
        >>> suggestion.reason
        'The last of 2 layers with a spatial extent: 8x8 positions of 8 channels, before the outputs pool them.'
    """
    if isinstance(image, jax.ShapeDtypeStruct):
        image = jax.random.normal(jax.random.key(0), image.shape, image.dtype)
    shapes = layer_shapes(forward, image, *inputs)
    spatial = [name for name, leaf in shapes.items() if _is_spatial(leaf, image.shape)]
    if not spatial:
        raise InputError(f"None of the layers has a spatial extent: {', '.join(shapes) or 'there are none'}.")

    @jax.jit
    def gradients(forward: Tapped, image: jax.Array, *inputs: Any) -> dict[str, jax.Array]:
        return layer_grads(forward, _mixed, image, *inputs).gradients

    at_layers = gradients(forward.at(spatial), image, *inputs)
    reached = [name for name in spatial if np.mean(np.any(np.asarray(at_layers[name]) != 0, axis=-1)) > 0.5]
    if not reached:
        raise InputError(f"The outputs depend on no layer with a spatial extent: {', '.join(spatial)}.")
    *positions, channels = shapes[reached[-1]].shape
    extent = f"{'x'.join(map(str, positions))} positions of {channels} channels"
    if len(positions) < image.ndim - 1:
        extent = (
            f"{positions[0]} tokens of {channels} channels (explain(..., layout=token_grid(class_tokens, grid)))"
        )
    after = "before the outputs pool them" if reached[-1] == spatial[-1] else "each of which the outputs depend on"
    return Suggestion(reached[-1], f"The last of {len(reached)} layers with a spatial extent: {extent}, {after}.")


def _is_spatial(leaf: jax.ShapeDtypeStruct, image: tuple[int, ...]) -> bool:
    """Tells whether a layer has positions, in the image's proportions, or tokens in their place."""
    if not jnp.issubdtype(leaf.dtype, jnp.floating) or len(leaf.shape) < 2:
        return False
    *positions, _ = leaf.shape
    if len(positions) == 1 or math.prod(positions) == 1:
        return positions[0] > 1 and (len(image) > 2 or len(positions) == len(image) - 1)
    extent = image[:-1] if len(positions) == len(image) - 1 else ()
    if not extent:
        return False
    strides = [length / count for length, count in zip(extent, positions, strict=True)]
    return max(strides) <= min(strides) * (1 + 1 / min(positions)) + 1e-6


def _mixed(outputs: Any) -> jax.Array:
    """A score that everything in the outputs has a part in."""
    leaves = [leaf for leaf in jax.tree.leaves(outputs) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    keys = jax.random.split(jax.random.key(1), len(leaves))
    return sum(
        (
            jnp.vdot(leaf, jax.random.normal(key, leaf.shape, leaf.dtype)).real
            for key, leaf in zip(keys, leaves, strict=True)
        ),
        jnp.zeros(()),
    )

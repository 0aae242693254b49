"""A trunk in bfloat16 under a head in float32: half the memory traffic, and maps that stay float32.

The trunk is everything up to the mapped layer. Its weights and its image are bfloat16, so it computes in bfloat16;
at the mapped layer the activation becomes float32, and the head, its gradient and the map are float32.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gradcam_jax.attribution.linearize import Activations, Forward
from gradcam_jax.interception.linen import layer_shapes


def trunk_in_bfloat16(
    model: nn.Module, variables: Mapping[str, Any], layer: str, *inputs: Any, **apply_options: Any
) -> Any:
    """Returns the variables with those of every module up to a layer in bfloat16.

    Running statistics of batch normalisation stay float32. Use with :func:`head_in_float32`, and hand the forward
    a bfloat16 image.

    Args:
        model: A Linen module.
        variables: Its variables; they are not changed.
        layer: The mapped layer, as :func:`gradcam_jax.layer_shapes` lists it.
        *inputs: The model's inputs, or their shapes.
        **apply_options: Passed to ``model.apply``.
    """
    called = list(layer_shapes(model, variables, *inputs, **apply_options))
    trunk = {name.partition(":")[0] for name in called[: called.index(layer) + 1]}

    def convert(path: tuple[Any, ...], leaf: Any) -> Any:
        collection, *module, _ = (key.key for key in path)
        below = collection == "params" and "/".join(module) in trunk
        return leaf.astype(jnp.bfloat16) if below else leaf

    return jax.tree_util.tree_map_with_path(convert, dict(variables))


def head_in_float32(forward: Forward) -> Forward:
    """Returns the forward with its tapped activations, and so all that follows them, in float32.

    Args:
        forward: A tapped model, as :func:`gradcam_jax.tapped` makes it.
    """

    def in_float32(taps: Mapping[str, jax.Array], *inputs: Any) -> tuple[Any, Activations]:
        # Flax's batch normalisation mixes bfloat16 values with its float32 statistics, on purpose.
        with jax.numpy_dtype_promotion("standard"):
            _, shapes = jax.eval_shape(lambda *arguments: forward({}, *arguments), *inputs)
            # An activation takes the type of what is added to it.
            zeros = {name: jnp.zeros(leaf.shape, jnp.float32) for name, leaf in shapes.items()}
            return forward({**zeros, **taps}, *inputs)

    return in_float32

"""A trunk in bfloat16 under a head in float32: half the memory traffic, and maps that stay float32.

The trunk is everything up to the mapped layer. Its weights and its image are bfloat16, so it computes in bfloat16;
at the mapped layer the activation is made float32, and the head, its gradient and the map are float32.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gradcam_jax.interception.linen import layer_shapes


def trunk_in_bfloat16(
    model: nn.Module, variables: Mapping[str, Any], layer: str, *inputs: Any, **apply_options: Any
) -> Any:
    """Returns the variables with those of every module up to a layer in bfloat16.

    Running statistics of batch normalisation stay float32. Given a bfloat16 image the model then computes in
    bfloat16 up to the layer; cut it there (:func:`gradcam_jax.interception.linen.resumed`) and go on in float32.

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

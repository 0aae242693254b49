"""A name on an array inside a traced program: an identity that JAX's transformations keep.

An adapter marks what each layer of a model returns; :mod:`gradcam_jax.interception.evaluation` finds the marks
in the traced program, and leaves none of those that it passes behind.
"""

from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp
from jax.interpreters import ad, batching, mlir

layer_p = jax.extend.core.Primitive("layer")
"""``layer_p.bind(value, name=..., batched=..., mapped=...)`` returns the value. ``batched``: whether it has the
batch axis of length 1 that the adapter gave; ``mapped``: how many axes before that ``jax.vmap`` has added."""

layer_p.def_impl(lambda value, **_: value)
layer_p.def_abstract_eval(lambda aval, **_: aval)
mlir.register_lowering(layer_p, lambda _, value, **__: [value])
# What flows back is not a layer's value: it is not marked.
ad.deflinear2(layer_p, lambda cotangent, _, **__: [cotangent])
ad.primitive_jvps[layer_p] = lambda primals, tangents, **name: (layer_p.bind(*primals, **name), *tangents)


def _batch(arguments: Any, axes: Any, *, mapped: int, **name: Any) -> tuple[jax.Array, int]:
    return layer_p.bind(jnp.moveaxis(arguments[0], axes[0], 0), mapped=mapped + 1, **name), 0


batching.primitive_batchers[layer_p] = _batch


def marked(value: Any, name: str, *, batched: bool) -> Any:
    """Marks what a layer returns, and nothing else changes.

    Args:
        value: An array, or tuples, lists and dictionaries of arrays, each of which gets a name of its own:
            ``"lstm.0"``. Whatever else is in them is left as it is.
        name: The layer's name.
        batched: Whether the arrays have a leading axis of one example.

    Returns:
        The same value.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(
        value, is_leaf=lambda node: not isinstance(node, tuple | list | dict)
    )

    def mark(path: Any, leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array):
            return leaf
        inner = jax.tree_util.keystr(path, simple=True, separator=".")
        return layer_p.bind(leaf, name=f"{name}.{inner}" if inner else name, batched=batched, mapped=0)

    return structure.unflatten([mark(path, leaf) for path, leaf in leaves])

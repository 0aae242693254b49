"""A function of one example over a batch, as the platform runs it fastest.

A CPU's caches hold what one image's convolutions pass on to each other, not what a batch's do, so there the trunk
runs over a batch in a loop; on accelerators it is batched. The same call compiles to either.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def over_examples(function: Callable[..., Any], *arrays: Any) -> Any:
    """Applies a function of one example to a batch: by a loop on CPUs, by ``jax.vmap`` elsewhere.

    Args:
        function: Takes one example's arrays.
        *arrays: Arrays or trees with a leading axis n. A loop over an axis that is sharded would gather it: give
            each device its own share (:func:`gradcam_jax.engine.devices.over_devices`).

    Returns:
        What the function returns, with a leading axis n.

    Example:
        >>> import jax.numpy as jnp
        >>> over_examples(jnp.sum, jnp.ones((2, 3)))
        Array([3., 3.], dtype=float32)
    """

    def loop(*arrays: Any) -> Any:
        return jax.lax.map(lambda example: function(*example), arrays)

    if _is_one(arrays):
        return batched(function, *arrays)
    return jax.lax.platform_dependent(*arrays, cpu=loop, default=jax.vmap(function))


def batched(function: Callable[..., Any], *arrays: Any) -> Any:
    """Applies a function of one example to a batch by ``jax.vmap``; to one example directly, which traces faster.

    Args:
        function: Takes one example's arrays.
        *arrays: Arrays or trees with a leading axis n.

    Returns:
        What the function returns, with a leading axis n.
    """
    if not _is_one(arrays):
        return jax.vmap(function)(*arrays)
    result = function(*jax.tree.map(lambda leaf: leaf[0], arrays))
    return jax.tree.map(lambda leaf: leaf[jnp.newaxis], result)


def _is_one(arrays: Any) -> bool:
    return jax.tree.leaves(arrays)[0].shape[0] == 1

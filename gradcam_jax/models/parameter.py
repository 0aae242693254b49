"""A module's parameter, without what Flax traces in every call of a model."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


def parameter(module: nn.Module, name: str, init: Any, shape: tuple[int, ...]) -> jax.Array:
    """Returns a float32 parameter of a module, as ``module.param`` does.

    ``param`` traces the initialiser in every call, to compare shapes: a fifth of the time that tracing
    EfficientNet-Lite0 takes. A checkpoint's shapes are compared when it is loaded.

    Args:
        module: The module, in its ``__call__``.
        name: The parameter's name.
        init: The initialiser, used by ``module.init`` alone.
        shape: The parameter's shape.
    """
    if module.has_variable("params", name):
        return module.get_variable("params", name)
    return module.param(name, init, shape, jnp.float32)

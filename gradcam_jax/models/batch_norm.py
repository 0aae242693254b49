"""Batch normalisation of a trained network."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gradcam_jax.models.parameter import parameter


class FrozenBatchNorm(nn.Module):
    """Batch normalisation by statistics that are given, with the variables of ``nn.BatchNorm``.

    Attributes:
        epsilon: Added to the variance.
    """

    epsilon: float

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``(..., C)`` to the same shape and dtype, computed in the statistics' dtype."""
        shape = (x.shape[-1],)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        var = self.variable("batch_stats", "var", jnp.ones, shape)
        scale = parameter(self, "scale", nn.initializers.ones_init(), shape)
        bias = parameter(self, "bias", nn.initializers.zeros_init(), shape)
        return _normalize(x, mean.value, var.value, scale, bias, self.epsilon)


@functools.partial(jax.jit, static_argnums=5)  # traced once a shape, and a function of the lowered program
def _normalize(x: jax.Array, mean: Any, var: Any, scale: Any, bias: Any, epsilon: float) -> jax.Array:
    axes = (1,) * (x.ndim - 1) + (-1,)
    mean, var, scale, bias = (values.astype(mean.dtype).reshape(axes) for values in (mean, var, scale, bias))
    return ((x.astype(mean.dtype) - mean) * (jax.lax.rsqrt(var + epsilon) * scale) + bias).astype(x.dtype)

"""Convolution layers written for speed on CPUs too, and their kernels made ready once."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype

from gradcam_jax.models.winograd import convolve_3x3, plain_convolution, suits_winograd, transform_kernel

PREPARED = "prepared"
"""Collection of transformed kernels, derived from the parameters: never trained, never stored."""


class SameConv(nn.Module):
    """Convolves with stride 1 and zeros around the image; parameters as those of ``nn.Conv``.

    Attributes:
        features: Channels of the result.
        size: Side of the kernel, in pixels, odd.
        groups: Groups of channels that are convolved apart; CPUs are slow at them in one operation.
    """

    features: int
    size: int = 3
    groups: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``(..., H, W, C)`` to ``(..., H, W, features)``."""
        shape = (self.size, self.size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=None)
        parts = zip(jnp.split(x, self.groups, axis=-1), jnp.split(kernel, self.groups, axis=-1), strict=True)
        results = [self._convolve(image, part, index) for index, (image, part) in enumerate(parts)]
        y = results[0] if self.groups == 1 else jnp.concatenate(results, axis=-1)
        return y + jax.lax.broadcast_in_dim(bias, y.shape, (y.ndim - 1,))

    def _convolve(self, x: jax.Array, kernel: jax.Array, group: int) -> jax.Array:
        if self.size != 3:
            return plain_convolution(x, kernel)
        return convolve_3x3(x, kernel, self._transformed(x, kernel, group))

    def _transformed(self, x: jax.Array, kernel: jax.Array, group: int) -> jax.Array | None:
        name = f"kernel_{group}"
        if not self.is_initializing() and self.is_mutable_collection(PREPARED) and suits_winograd(x, kernel):
            self.put_variable(PREPARED, name, transform_kernel(kernel))
        return self.get_variable(PREPARED, name)


class PointwiseConv(nn.Module):
    """Mixes the channels of each position, without a bias: a 1x1 convolution, computed as the product it is.

    CPUs run the gradient of a convolution of this shape several times slower than the product's.

    Attributes:
        features: Channels of the result.
    """

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``(..., H, W, C)`` to ``(..., H, W, features)``."""
        kernel = self.param(
            "kernel", nn.initializers.lecun_normal(), (1, 1, x.shape[-1], self.features), jnp.float32
        )
        x, kernel = promote_dtype(x, kernel, dtype=None)
        return jax.lax.dot_general(x, kernel[0, 0], (((x.ndim - 1,), (0,)), ((), ())))


def with_prepared_kernels(model: nn.Module, variables: Mapping[str, Any], image: Any) -> dict[str, Any]:
    """Adds to a model's variables what its convolutions otherwise compute from them in every call on a CPU.

    Worth a few per cent of the time on CPUs for up to 16/9 more memory; nothing on GPUs and TPUs. Derived from the
    parameters: a change of these makes it wrong, so it is for models that are done with training.

    Args:
        model: Any model; only its :class:`SameConv` layers gain.
        variables: Its variables.
        image: An image, or the shape of one, as the model will get: by its size it is decided which layers gain.

    Returns:
        The variables with a further collection, ``"prepared"``; the model is applied to them as before.
    """

    def prepare(variables: Mapping[str, Any]) -> Any:
        blank = jnp.zeros(
            image.shape, image.dtype
        )  # the compiler drops the forward pass, whose result is not asked for
        _, prepared = model.apply(variables, blank, mutable=[PREPARED])  # type: ignore[misc]
        return prepared.get(PREPARED, {})

    parameters = {name: leaf for name, leaf in variables.items() if name != PREPARED}
    return {**parameters, PREPARED: jax.jit(prepare)(parameters)}

"""Convolution layers that are fast on CPUs too."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype

from gradcam_jax.interception.linen import PREPARED
from gradcam_jax.models.parameter import parameter
from gradcam_jax.models.strided import same_padding, strided_convolution
from gradcam_jax.models.winograd import convolve_3x3, suits_winograd, transform_kernel


class Convolution(nn.Module):
    """Convolves; parameters as those of ``nn.Conv``.

    Attributes:
        features: Channels of the result.
        size: Side of the kernel, in pixels.
        stride: Step, in pixels.
        padding: Zeros around the image, in pixels; None is TensorFlow's "SAME", with stride 1 the image's size.
        groups: Groups of channels, each its own convolution: one grouped operation is slow on CPUs.
        use_bias: Whether it has one.
    """

    features: int
    size: int = 3
    stride: int = 1
    padding: int | None = None
    groups: int = 1
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``(..., H, W, C)`` to ``(..., H / stride, W / stride, features)``, as the padding rounds it."""
        shape = (self.size, self.size, x.shape[-1] // self.groups, self.features)
        kernel = parameter(self, "kernel", nn.initializers.lecun_normal(), shape)
        bias = parameter(self, "bias", nn.initializers.zeros_init(), (self.features,)) if self.use_bias else None
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=None)
        parts = zip(jnp.split(x, self.groups, axis=-1), jnp.split(kernel, self.groups, axis=-1), strict=True)
        results = [self._convolve(image, part, index) for index, (image, part) in enumerate(parts)]
        y = results[0] if self.groups == 1 else jnp.concatenate(results, axis=-1)
        return y if bias is None else y + jax.lax.broadcast_in_dim(bias, y.shape, (y.ndim - 1,))

    def _convolve(self, x: jax.Array, kernel: jax.Array, group: int) -> jax.Array:
        if (self.size, self.stride) == (3, 1) and self.padding in (None, 1):
            return convolve_3x3(x, kernel, self._transformed(x, kernel, group))
        height, width = (self._edge(length) for length in x.shape[-3:-1])
        return strided_convolution(x, kernel, self.stride, (height, width))

    def _edge(self, length: int) -> tuple[int, int]:
        if self.padding is None:
            return same_padding(length, self.size, self.stride)
        return self.padding, self.padding

    def _transformed(self, x: jax.Array, kernel: jax.Array, group: int) -> jax.Array | None:
        name = f"kernel_{group}"
        if not self.is_initializing() and self.is_mutable_collection(PREPARED) and suits_winograd(x, kernel):
            self.put_variable(PREPARED, name, transform_kernel(kernel))
        return self.get_variable(PREPARED, name)


class PointwiseConv(nn.Module):
    """Mixes the channels of each position, without a bias: a 1x1 convolution, computed as a matrix product.

    On CPUs the gradient of a 1x1 convolution is several times slower than that of the product.

    Attributes:
        features: Channels of the result.
    """

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``(..., H, W, C)`` to ``(..., H, W, features)``."""
        kernel = parameter(self, "kernel", nn.initializers.lecun_normal(), (1, 1, x.shape[-1], self.features))
        x, kernel = promote_dtype(x, kernel, dtype=None)
        return jax.lax.dot_general(x, kernel[0, 0], (((x.ndim - 1,), (0,)), ((), ())))

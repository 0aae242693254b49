"""AlexNet, twice: Caffe's two-tower net (bvlc_alexnet) and torchvision's single-tower variant.

Layers are named as in Caffe: ``conv1``, ``relu1``, ``norm1``, ``pool1``, ..., ``pool5``, ``fc6``, ... ``fc8``.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

from gradcam_jax.models.convolution import Convolution
from gradcam_jax.models.layers import (
    FunctionLayer,
    Relu,
    adaptive_mean_pool,
    flatten,
    local_response_norm,
    max_pool,
    max_pool_ceil,
    require_image,
)

_GRID = 6  # positions along each side of fc6's input


class AlexNet(nn.Module):
    """Five convolutions and three fully connected layers, in evaluation mode.

    Attributes:
        channels: Channels of the five convolutions.
        padding: Zeros around the image before ``conv1``, in pixels.
        groups: Groups of ``conv2``, ``conv4`` and ``conv5``: 2 are the paper's two towers.
        normalize: Whether the net has ``norm1`` and ``norm2`` (local response normalisation).
        classes: Number of logits.
        pool: ``pool(x, window, stride)``.
        input_size: The only size of the images, in pixels, or None to average ``pool5`` over a 6x6 grid.

    References:
        Krizhevsky et al., ImageNet Classification with Deep CNNs, NeurIPS 2012; BVLC/caffe,
        ``models/bvlc_alexnet``; torchvision ``alexnet`` (Krizhevsky, arXiv:1404.5997).
    """

    channels: tuple[int, int, int, int, int]
    padding: int
    groups: int
    normalize: bool
    pool: Callable[[jax.Array, int, int], jax.Array]
    input_size: int | None
    classes: int = 1000

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps preprocessed images ``(..., H, W, 3)`` to logits ``(..., classes)``."""
        require_image(x, "AlexNet", self.input_size)
        x = Convolution(self.channels[0], 11, 4, self.padding, name="conv1")(x)
        x = Relu(name="relu1")(x)
        x = self._pool(self._norm(x, 1), 1)
        x = self._convolve(x, 2, 5, self.groups)
        x = self._pool(self._norm(x, 2), 2)
        x = self._convolve(x, 3, 3)
        x = self._convolve(x, 4, 3, self.groups)
        x = self._convolve(x, 5, 3, self.groups)
        x = self._pool(x, 5)
        if self.input_size is None:
            x = adaptive_mean_pool(x, _GRID)
        x = Relu(name="relu6")(nn.Dense(4096, name="fc6")(flatten(x)))
        x = Relu(name="relu7")(nn.Dense(4096, name="fc7")(x))
        return nn.Dense(self.classes, name="fc8")(x)

    def _convolve(self, x: jax.Array, index: int, size: int, groups: int = 1) -> jax.Array:
        convolution = Convolution(self.channels[index - 1], size, groups=groups, name=f"conv{index}")
        return Relu(name=f"relu{index}")(convolution(x))

    def _norm(self, x: jax.Array, index: int) -> jax.Array:
        return FunctionLayer(_caffe_norm, name=f"norm{index}")(x) if self.normalize else x

    def _pool(self, x: jax.Array, index: int) -> jax.Array:
        return FunctionLayer(lambda x: self.pool(x, 3, 2), name=f"pool{index}")(x)


def _caffe_norm(x: jax.Array) -> jax.Array:
    return local_response_norm(x, size=5, alpha=1e-4, beta=0.75, k=1.0)


def alexnet(**fields: Any) -> AlexNet:
    """Returns bvlc_alexnet: 227x227, two groups, local response normalisation, Caffe's pooling."""
    settings = {"channels": (96, 256, 384, 384, 256), "padding": 0, "groups": 2, "normalize": True}
    return AlexNet(**settings | {"pool": max_pool_ceil, "input_size": 227} | fields)


def alexnet_torchvision(**fields: Any) -> AlexNet:
    """Returns torchvision's AlexNet: one tower, no normalisation, any size of 63 pixels and more."""
    settings = {"channels": (64, 192, 384, 256, 256), "padding": 2, "groups": 1, "normalize": False}
    return AlexNet(**settings | {"pool": max_pool, "input_size": None} | fields)

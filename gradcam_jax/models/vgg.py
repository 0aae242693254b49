"""VGG-16 and VGG-19, each layer named as in Caffe: ``conv1_1``, ``relu1_1``, ..., ``pool5``, ``fc6``, ... ``fc8``.

Two variants have weights of the same shapes. Caffe's nets take 224x224 only and pool with windows that may extend
past the edge (no difference at 224). torchvision's average over a 7x7 grid before ``fc6`` and so take other sizes.
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
    max_pool,
    max_pool_ceil,
    require_image,
)

_GRID = 7  # positions along each side of fc6's input


class VGG(nn.Module):
    """Convolutional blocks, each with a pooling at its end, then three fully connected layers, in evaluation mode.

    Attributes:
        convolutions: Number of convolutions of each block.
        channels: Channels of each block.
        hidden: Width of ``fc6`` and ``fc7``.
        classes: Number of logits, or None to return ``relu7``'s features without a classifier.
        pool: ``pool(x, window, stride)``.
        input_size: The only size of the images, in pixels, or None to average ``pool5`` over a 7x7 grid.

    References:
        Simonyan and Zisserman, arXiv:1409.1556, configurations D and E.
    """

    convolutions: tuple[int, ...] = (2, 2, 3, 3, 3)
    channels: tuple[int, ...] = (64, 128, 256, 512, 512)
    hidden: int = 4096
    classes: int | None = 1000
    pool: Callable[[jax.Array, int, int], jax.Array] = max_pool_ceil
    input_size: int | None = 224

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps preprocessed images ``(..., H, W, 3)`` to logits ``(..., classes)``, or to features."""
        require_image(x, "VGG", self.input_size)
        for block, (count, channels) in enumerate(zip(self.convolutions, self.channels, strict=True), 1):
            for index in range(1, count + 1):
                x = Convolution(channels, name=f"conv{block}_{index}")(x)
                x = Relu(name=f"relu{block}_{index}")(x)
            x = FunctionLayer(lambda x: self.pool(x, 2, 2), name=f"pool{block}")(x)
        if self.input_size is None:
            x = adaptive_mean_pool(x, _GRID)
        x = Relu(name="relu6")(nn.Dense(self.hidden, name="fc6")(flatten(x)))
        x = Relu(name="relu7")(nn.Dense(self.hidden, name="fc7")(x))
        return x if self.classes is None else nn.Dense(self.classes, name="fc8")(x)


def vgg16(**fields: Any) -> VGG:
    """Returns VGG-16 as in ``VGG_ILSVRC_16_layers.caffemodel``: 224x224, BGR minus the mean pixel."""
    return VGG(convolutions=(2, 2, 3, 3, 3), **fields)


def vgg19(**fields: Any) -> VGG:
    """Returns VGG-19 as in ``VGG_ILSVRC_19_layers.caffemodel``: 224x224, BGR minus the mean pixel."""
    return VGG(convolutions=(2, 2, 4, 4, 4), **fields)


def vgg16_torchvision(**fields: Any) -> VGG:
    """Returns VGG-16 as torchvision computes it, for any height and width of 32 pixels and more."""
    return vgg16(pool=max_pool, input_size=None, **fields)


def vgg19_torchvision(**fields: Any) -> VGG:
    """Returns VGG-19 as torchvision computes it, for any height and width of 32 pixels and more."""
    return vgg19(pool=max_pool, input_size=None, **fields)

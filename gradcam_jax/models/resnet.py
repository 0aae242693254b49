"""ResNet-50, its layers named as in torchvision: ``conv1``, ``bn1``, ``relu``, ``maxpool``, ``layer1_0``, ...

``layer4_2`` is torchvision's ``layer4[2]``, the last block after its rectifier. Inside a block are ``conv1``,
``bn1``, ``relu1``, ... ``relu3``, in the first of a stage also ``downsample_conv`` and ``downsample_bn``. The head
after ``layer4_2`` is a mean over positions and one linear layer, so Grad-CAM there equals CAM.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gradcam_jax.models.batch_norm import FrozenBatchNorm
from gradcam_jax.models.convolution import Convolution, PointwiseConv
from gradcam_jax.models.layers import FunctionLayer, Relu, max_pool_padded, require_image

_EXPANSION = 4  # channels of a block's result, as a multiple of its inner ones


class Bottleneck(nn.Module):
    """Narrows, convolves, widens; adds the input, and rectifies the sum.

    Attributes:
        channels: Inner channels; the result has four times as many.
        stride: Step of the 3x3 convolution, in pixels.
    """

    channels: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``(..., H, W, C)`` to ``(..., ceil(H / stride), ceil(W / stride), 4 * channels)``."""
        inputs, wide = x, self.channels * _EXPANSION
        x = PointwiseConv(self.channels, name="conv1")(x)
        x = Relu(name="relu1")(_batch_norm("bn1")(x))
        x = Convolution(self.channels, 3, self.stride, 1, use_bias=False, name="conv2")(x)
        x = Relu(name="relu2")(_batch_norm("bn2")(x))
        x = _batch_norm("bn3")(PointwiseConv(wide, name="conv3")(x))
        if x.shape != inputs.shape:
            inputs = inputs[..., :: self.stride, :: self.stride, :]
            inputs = PointwiseConv(wide, name="downsample_conv")(inputs)
            inputs = _batch_norm("downsample_bn")(inputs)
        return Relu(name="relu3")(x + inputs)


class ResNet(nn.Module):
    """A residual network of bottleneck blocks, in evaluation mode.

    Attributes:
        blocks: Number of blocks of each stage.
        channels: Inner channels of the first stage; each further stage has twice as many.
        classes: Number of logits, or None to return the pooled features without a classifier.

    References:
        He et al., Deep Residual Learning for Image Recognition, arXiv:1512.03385; torchvision ``resnet50``, whose
        stride is in the 3x3 convolution ("ResNet v1.5").
    """

    blocks: tuple[int, ...] = (3, 4, 6, 3)
    channels: int = 64
    classes: int | None = 1000

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps preprocessed images ``(..., H, W, 3)``, 32 pixels and more, to logits ``(..., classes)``."""
        require_image(x, "ResNet")
        x = Convolution(self.channels, 7, 2, 3, use_bias=False, name="conv1")(x)
        x = Relu(name="relu")(_batch_norm("bn1")(x))
        x = FunctionLayer(_pool, name="maxpool")(x)
        for stage, count in enumerate(self.blocks):
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                x = Bottleneck(self.channels * 2**stage, stride, name=f"layer{stage + 1}_{index}")(x)
        x = FunctionLayer(_mean_over_positions, name="avgpool")(x)
        return x if self.classes is None else nn.Dense(self.classes, name="fc")(x)


def resnet50_torchvision(**fields: Any) -> ResNet:
    """Returns ResNet-50 as torchvision computes it, for any height and width of 32 pixels and more."""
    return ResNet(**fields)


def _batch_norm(name: str) -> FrozenBatchNorm:
    return FrozenBatchNorm(epsilon=1e-5, name=name)


def _pool(x: jax.Array) -> jax.Array:
    return max_pool_padded(x, 3, 2, 1)


def _mean_over_positions(x: jax.Array) -> jax.Array:
    return jnp.mean(x, axis=(-3, -2))

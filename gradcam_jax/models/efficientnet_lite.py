"""EfficientNet-Lite0, a small net whose ImageNet weights are in a package: the bundled default.

Inverted residual blocks with batch normalisation and ReLU6, no squeeze-and-excitation, TensorFlow's "SAME"
padding. Layers: ``stem``, ``block1`` ... ``block16`` (each with ``expand``, ``depthwise``, ``project`` inside,
as in ``block3/expand_relu``), ``head``, ``head_relu``, ``pool``, ``classifier``. The head after ``head_relu``
is a mean over positions and one linear layer, so Grad-CAM there equals CAM.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from gradcam_jax.attribution.relu_rules import relu6
from gradcam_jax.models.batch_norm import FrozenBatchNorm
from gradcam_jax.models.convolution import Convolution, PointwiseConv
from gradcam_jax.models.layers import DepthwiseConv, FunctionLayer, Relu, require_image


class Stage(NamedTuple):
    """Blocks of one shape; the first has the stride and changes the number of channels."""

    blocks: int
    kernel_size: int
    stride: int
    expansion: int
    channels: int


LITE0_STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


class InvertedResidual(nn.Module):
    """Widens, convolves each channel by itself, narrows; adds the input if it has the output's shape.

    Attributes:
        channels: Channels of the output.
        kernel_size: Side of the depthwise kernel, in pixels.
        stride: Step of the depthwise convolution, in pixels.
        expansion: The inner width as a multiple of the input's.
    """

    channels: int
    kernel_size: int
    stride: int
    expansion: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``(..., H, W, C)`` to ``(..., ceil(H / stride), ceil(W / stride), channels)``."""
        inputs = x
        if self.expansion != 1:
            x = PointwiseConv(x.shape[-1] * self.expansion, name="expand")(x)
            x = Relu(relu6, name="expand_relu")(_batch_norm("expand_norm")(x))
        x = DepthwiseConv(self.kernel_size, self.stride, name="depthwise")(x)
        x = Relu(relu6, name="depthwise_relu")(_batch_norm("depthwise_norm")(x))
        x = PointwiseConv(self.channels, name="project")(x)
        x = _batch_norm("project_norm")(x)
        return x + inputs if x.shape == inputs.shape else x


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite in evaluation mode.

    Attributes:
        stages: The shape of the blocks.
        classes: Number of logits, or None to return the pooled features without a classifier.

    References:
        Tan and Le, arXiv:1905.11946; tensorflow/tpu, ``efficientnet/lite/efficientnet_lite_builder.py``.
    """

    stages: tuple[Stage, ...] = LITE0_STAGES
    classes: int | None = 1000

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps preprocessed images ``(..., H, W, 3)``, 32 pixels and more, to logits ``(..., classes)``."""
        require_image(x, "EfficientNet-Lite")
        x = Convolution(32, 3, 2, use_bias=False, name="stem")(x)
        x = Relu(relu6, name="stem_relu")(_batch_norm("stem_norm")(x))
        block = 0
        for stage in self.stages:
            for index in range(stage.blocks):
                block += 1
                stride = stage.stride if index == 0 else 1
                x = InvertedResidual(
                    stage.channels,
                    stage.kernel_size,
                    stride,
                    stage.expansion,
                    name=f"block{block}",
                )(x)
        x = PointwiseConv(1280, name="head")(x)
        x = Relu(relu6, name="head_relu")(_batch_norm("head_norm")(x))
        x = FunctionLayer(_mean_over_positions, name="pool")(x)
        return x if self.classes is None else nn.Dense(self.classes, name="classifier")(x)


def efficientnet_lite0(**fields: Any) -> EfficientNetLite:
    """Returns EfficientNet-Lite0: RGB, ``(byte - 127) / 128``, 224x224 by its preprocessing, or any other size."""
    return EfficientNetLite(**fields)


def _batch_norm(name: str) -> FrozenBatchNorm:
    return FrozenBatchNorm(epsilon=1e-3, name=name)


def _mean_over_positions(x: jax.Array) -> jax.Array:
    return jnp.mean(x, axis=(-3, -2))

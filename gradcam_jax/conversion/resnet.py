"""ResNet-50 from torchvision's names (``resnet50-0676ba61.pth``)."""

from collections.abc import Sequence

from gradcam_jax.conversion.batch_norm import batch_norm
from gradcam_jax.conversion.rules import Rule, convolution, dense, weight_and_bias

RESNET50 = (3, 4, 6, 3)
"""Blocks of each stage of ResNet-50."""


def resnet_from_torchvision(blocks: Sequence[int]) -> list[Rule]:
    """Returns the table from ``conv1.weight`` to ``fc.bias``, for so many bottleneck blocks in each stage."""
    rules = _normalised("conv1", "bn1", "conv1", "bn1")
    for stage, count in enumerate(blocks, 1):
        for index in range(count):
            source, target = f"layer{stage}.{index}.", f"layer{stage}_{index}/"
            for place in (1, 2, 3):
                names = f"conv{place}", f"bn{place}"
                rules += _normalised(*(source + name for name in names), *(target + name for name in names))
            if index == 0:
                shortcut = f"{source}downsample.0", f"{source}downsample.1"
                rules += _normalised(*shortcut, f"{target}downsample_conv", f"{target}downsample_bn")
    return [*rules, *weight_and_bias("fc.", "fc", dense)]


def _normalised(kernel: str, norm: str, target: str, target_norm: str) -> list[Rule]:
    """Returns the rules of a convolution without a bias and of the batch normalisation after it."""
    own = Rule(f"{kernel}.weight", f"params/{target}/kernel", convolution)
    return [own, *batch_norm(f"{norm}.", target_norm)]

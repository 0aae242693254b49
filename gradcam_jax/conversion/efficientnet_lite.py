"""EfficientNet-Lite0 from the PyTorch port's names (``efficientnet-lite0-57934424.pth``)."""

from gradcam_jax.conversion.batch_norm import batch_norm
from gradcam_jax.conversion.rules import Rule, convolution, dense, weight_and_bias


def efficientnet_lite0_from_pytorch() -> list[Rule]:
    """Returns the table: ``_conv_stem``, ``_blocks.0`` to ``_blocks.15``, ``_conv_head``, ``_fc``."""
    rules = _normalised("_conv_stem", "_bn0", "stem")
    for index in range(16):
        source, target = f"_blocks.{index}.", f"block{index + 1}/"
        if index > 0:  # the first block does not widen
            rules += _normalised(f"{source}_expand_conv", f"{source}_bn0", f"{target}expand")
        rules += _normalised(f"{source}_depthwise_conv", f"{source}_bn1", f"{target}depthwise")
        rules += _normalised(f"{source}_project_conv", f"{source}_bn2", f"{target}project")
    rules += _normalised("_conv_head", "_bn1", "head")
    return [*rules, *weight_and_bias("_fc.", "classifier", dense)]


def _normalised(kernel: str, norm: str, target: str) -> list[Rule]:
    """Returns the rules of a convolution without a bias and of the batch normalisation after it."""
    own = Rule(f"{kernel}.weight", f"params/{target}/kernel", convolution)
    return [own, *batch_norm(f"{norm}.", f"{target}_norm")]

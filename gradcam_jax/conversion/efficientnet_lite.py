"""EfficientNet-Lite0 from the PyTorch port's names (``efficientnet-lite0-57934424.pth``)."""

from gradcam_jax.conversion.rules import Rule, as_is, convolution, dense, weight_and_bias

_NORM = {
    "weight": "params/{}/scale",
    "bias": "params/{}/bias",
    "running_mean": "batch_stats/{}/mean",
    "running_var": "batch_stats/{}/var",
}


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


def is_batch_counter(key: str) -> bool:
    """Tells whether a PyTorch key is batch normalisation's step counter, which evaluation does not need."""
    return key.endswith("num_batches_tracked")


def _normalised(kernel: str, norm: str, target: str) -> list[Rule]:
    """Returns the rules of a convolution without a bias and of the batch normalisation after it."""
    norms = [Rule(f"{norm}.{name}", path.format(f"{target}_norm"), as_is) for name, path in _NORM.items()]
    return [Rule(f"{kernel}.weight", f"params/{target}/kernel", convolution), *norms]

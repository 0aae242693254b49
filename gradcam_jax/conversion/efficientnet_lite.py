"""EfficientNet-Lite0 from the PyTorch port's names (``efficientnet-lite0-57934424.pth``)."""

from gradcam_jax.conversion.rules import Rule, as_is, convolution, dense

_NORM = {
    "weight": "params/{}/scale",
    "bias": "params/{}/bias",
    "running_mean": "batch_stats/{}/mean",
    "running_var": "batch_stats/{}/var",
}


def efficientnet_lite0_from_pytorch(blocks: int = 16) -> list[Rule]:
    """Returns the table: ``_conv_stem``, ``_blocks.0`` to ``_blocks.15``, ``_conv_head``, ``_fc``."""
    rules = [Rule("_conv_stem.weight", "params/stem/kernel", convolution), *_norm("_bn0", "stem_norm")]
    for index in range(blocks):
        source, target = f"_blocks.{index}.", f"block{index + 1}/"
        if index > 0:  # the first block does not widen
            rules.append(Rule(f"{source}_expand_conv.weight", f"params/{target}expand/kernel", convolution))
            rules += _norm(f"{source}_bn0", f"{target}expand_norm")
        rules.append(Rule(f"{source}_depthwise_conv.weight", f"params/{target}depthwise/kernel", convolution))
        rules += _norm(f"{source}_bn1", f"{target}depthwise_norm")
        rules.append(Rule(f"{source}_project_conv.weight", f"params/{target}project/kernel", convolution))
        rules += _norm(f"{source}_bn2", f"{target}project_norm")
    rules += [Rule("_conv_head.weight", "params/head/kernel", convolution), *_norm("_bn1", "head_norm")]
    rules += [Rule("_fc.weight", "params/classifier/kernel", dense)]
    return [*rules, Rule("_fc.bias", "params/classifier/bias", as_is)]


def is_batch_counter(key: str) -> bool:
    """Tells whether a PyTorch key is batch normalisation's step counter, which evaluation does not need."""
    return key.endswith("num_batches_tracked")


def _norm(source: str, target: str) -> list[Rule]:
    return [Rule(f"{source}.{name}", path.format(target), as_is) for name, path in _NORM.items()]

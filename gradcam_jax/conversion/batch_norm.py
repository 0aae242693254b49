"""Batch normalisation from PyTorch's names."""

from gradcam_jax.conversion.rules import Rule, as_is

_NORM = {
    "weight": "params/{}/scale",
    "bias": "params/{}/bias",
    "running_mean": "batch_stats/{}/mean",
    "running_var": "batch_stats/{}/var",
}


def batch_norm(source: str, target: str) -> list[Rule]:
    """Returns the rules of a batch normalisation: scale, bias, and the statistics of training.

    Example:
        >>> [rule.target for rule in batch_norm("layer1.0.bn1.", "layer1_0/bn1")][-1]
        'batch_stats/layer1_0/bn1/var'
    """
    return [Rule(f"{source}{name}", path.format(target), as_is) for name, path in _NORM.items()]


def is_batch_counter(key: str) -> bool:
    """Tells whether a PyTorch key is batch normalisation's step counter, which evaluation does not need."""
    return key.endswith("num_batches_tracked")

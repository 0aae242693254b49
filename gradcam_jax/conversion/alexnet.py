"""AlexNet from Caffe's names (``bvlc_alexnet.caffemodel``) and from torchvision's."""

from collections.abc import Sequence

from gradcam_jax.conversion.rules import Rule, convolution, dense, dense_after_flatten, weight_and_bias

_LAYERS = {f"conv{index}": convolution for index in range(1, 6)} | {
    "fc6": dense_after_flatten(256, 6, 6),
    "fc7": dense,
    "fc8": dense,
}


def alexnet_from_caffe() -> list[Rule]:
    """Returns the table from ``conv1/weight`` to ``fc8/bias``.

    A convolution in two groups has a kernel (out, in / 2, h, w) in Caffe and (h, w, in / 2, out) in Flax, the
    groups one after the other among the outputs in both, so the ordinary transposition serves.
    """
    return _table([f"{layer}/" for layer in _LAYERS])


def alexnet_from_torchvision() -> list[Rule]:
    """Returns the table from ``features.0.weight`` to ``classifier.6.bias``."""
    convolutions = [f"features.{index}." for index in (0, 3, 6, 8, 10)]
    return _table([*convolutions, *(f"classifier.{index}." for index in (1, 4, 6))])


def _table(sources: Sequence[str]) -> list[Rule]:
    layers = zip(sources, _LAYERS.items(), strict=True)
    return [rule for source, layer in layers for rule in weight_and_bias(source, *layer)]

"""AlexNet from Caffe's names (``bvlc_alexnet.caffemodel``) and from torchvision's."""

from gradcam_jax.conversion.rules import Rule, convolution, dense, dense_after_flatten, weight_and_bias

_fc6 = dense_after_flatten(256, 6, 6)


def alexnet_from_caffe() -> list[Rule]:
    """Returns the table from ``conv1/weight`` to ``fc8/bias``.

    A convolution in two groups has a kernel (out, in / 2, h, w) in Caffe and (h, w, in / 2, out) in Flax, the
    groups one after the other among the outputs in both, so the ordinary transposition serves.
    """
    rules = []
    for index in range(1, 6):
        rules += weight_and_bias(f"conv{index}/", f"conv{index}", convolution)
    rules += weight_and_bias("fc6/", "fc6", _fc6)
    return [*rules, *weight_and_bias("fc7/", "fc7", dense), *weight_and_bias("fc8/", "fc8", dense)]


def alexnet_from_torchvision() -> list[Rule]:
    """Returns the table from ``features.0.weight`` to ``classifier.6.bias``."""
    rules = []
    for index, module in enumerate((0, 3, 6, 8, 10), 1):
        rules += weight_and_bias(f"features.{module}.", f"conv{index}", convolution)
    rules += weight_and_bias("classifier.1.", "fc6", _fc6)
    rules += weight_and_bias("classifier.4.", "fc7", dense)
    return [*rules, *weight_and_bias("classifier.6.", "fc8", dense)]

"""VGG-16 and VGG-19 from Caffe's names (``VGG_ILSVRC_16_layers.caffemodel``), torchvision's and Torch7's."""

from collections.abc import Sequence

import numpy as np

from gradcam_jax.conversion.rules import Rule, Transform, convolution, dense, dense_after_flatten, weight_and_bias

VGG16 = (2, 2, 3, 3, 3)
"""Convolutions of each block of VGG-16."""

VGG19 = (2, 2, 4, 4, 4)
"""Convolutions of each block of VGG-19."""

_fc6 = dense_after_flatten(512, 7, 7)


def vgg_from_caffe(convolutions: Sequence[int]) -> list[Rule]:
    """Returns the table from ``conv1_1/weight`` to ``fc8/bias``, for so many convolutions in each block."""
    return _table(convolutions, [f"{name}/" for name, _ in _numbered(convolutions)], ["fc6/", "fc7/", "fc8/"])


def vgg_from_torchvision(convolutions: Sequence[int]) -> list[Rule]:
    """Returns the table from ``features.0.weight`` to ``classifier.6.bias``."""
    features = [f"features.{index}." for _, index in _numbered(convolutions)]
    return _table(convolutions, features, [f"classifier.{index}." for index in (0, 3, 6)])


def vgg_features_from_torch7(convolutions: Sequence[int]) -> list[Rule]:
    """Returns the table of a Torch7 ``nn.Sequential`` up to ``fc7``: ``1/weight``, ``1/bias``, ``3/weight``, ...

    Its modules are numbered from 1; between ``pool5`` and ``fc6`` it has one that flattens.
    """
    fc6 = sum(2 * count + 1 for count in convolutions) + 2
    features = [f"{index + 1}/" for _, index in _numbered(convolutions)]
    return _table(convolutions, features, [f"{fc6}/", f"{fc6 + 3}/"], _unfolded_convolution)


def _table(
    convolutions: Sequence[int],
    features: Sequence[str],
    classifier: Sequence[str],
    kernel: Transform = convolution,
) -> list[Rule]:
    """Returns the rules of the convolutions' sources, then those of the fully connected layers' from ``fc6``."""
    layers = [(name, kernel) for name, _ in _numbered(convolutions)]
    layers += [("fc6", _fc6), ("fc7", dense), ("fc8", dense)][: len(classifier)]
    sources = zip([*features, *classifier], layers, strict=True)
    return [rule for source, layer in sources for rule in weight_and_bias(source, *layer)]


def _numbered(convolutions: Sequence[int]) -> list[tuple[str, int]]:
    """Names the convolutions, each with its place among convolutions, rectifiers and poolings, from 0."""
    numbered, index = [], 0
    for block, count in enumerate(convolutions, 1):
        for convolution_index in range(1, count + 1):
            numbered.append((f"conv{block}_{convolution_index}", index))
            index += 2
        index += 1
    return numbered


def _unfolded_convolution(array: np.ndarray) -> np.ndarray:
    # Older Torch7 convolutions (SpatialConvolutionMM) keep their kernel as a matrix (out, in * 3 * 3).
    return convolution(array.reshape(array.shape[0], -1, 3, 3))

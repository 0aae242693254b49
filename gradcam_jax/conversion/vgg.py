"""VGG-16 and VGG-19 from Caffe's names (``VGG_ILSVRC_16_layers.caffemodel``), torchvision's and Torch7's."""

from collections.abc import Sequence

import numpy as np

from gradcam_jax.conversion.rules import Rule, convolution, dense, dense_after_flatten, weight_and_bias

VGG16 = (2, 2, 3, 3, 3)
"""Convolutions of each block of VGG-16."""

VGG19 = (2, 2, 4, 4, 4)
"""Convolutions of each block of VGG-19."""

_fc6 = dense_after_flatten(512, 7, 7)


def vgg_from_caffe(convolutions: Sequence[int]) -> list[Rule]:
    """Returns the table from ``conv1_1/weight`` to ``fc8/bias``.

    Args:
        convolutions: Number of convolutions of each block.
    """
    rules = []
    for name, _ in _numbered(convolutions):
        rules += weight_and_bias(f"{name}/", name, convolution)
    rules += weight_and_bias("fc6/", "fc6", _fc6)
    return [*rules, *weight_and_bias("fc7/", "fc7", dense), *weight_and_bias("fc8/", "fc8", dense)]


def vgg_from_torchvision(convolutions: Sequence[int]) -> list[Rule]:
    """Returns the table from ``features.0.weight`` to ``classifier.6.bias``.

    Args:
        convolutions: Number of convolutions of each block.
    """
    rules = []
    for name, index in _numbered(convolutions):
        rules += weight_and_bias(f"features.{index}.", name, convolution)
    rules += weight_and_bias("classifier.0.", "fc6", _fc6)
    rules += weight_and_bias("classifier.3.", "fc7", dense)
    return [*rules, *weight_and_bias("classifier.6.", "fc8", dense)]


def vgg_features_from_torch7(convolutions: Sequence[int]) -> list[Rule]:
    """Returns the table of a Torch7 ``nn.Sequential`` up to ``fc7``: ``1/weight``, ``1/bias``, ``3/weight``, ...

    Its modules are numbered from 1; between ``pool5`` and ``fc6`` it has one that flattens.

    Args:
        convolutions: Number of convolutions of each block.
    """
    rules = []
    for name, index in _numbered(convolutions):
        rules += weight_and_bias(f"{index + 1}/", name, _unfolded_convolution)
    fc6 = sum(2 * count + 1 for count in convolutions) + 2
    return [*rules, *weight_and_bias(f"{fc6}/", "fc6", _fc6), *weight_and_bias(f"{fc6 + 3}/", "fc7", dense)]


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

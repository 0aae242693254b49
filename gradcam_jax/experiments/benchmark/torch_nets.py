"""The same nets in torch, layer by layer under the same names; torch is imported only when one is built.

Written by hand, so that no other library of models is needed. Nothing works in place: a hook then sees what a
layer returned.
"""

# Libraries of an extra, which need not be here for the package to be checked.
# pyright: reportMissingImports=false

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any


def torch_vgg(convolutions: Sequence[int]) -> Any:
    """Returns VGG with so many convolutions in each block; pooling windows may hang over the edge, as in Caffe."""
    from torch import nn

    layers, channels = OrderedDict(), 3
    for block, (count, width) in enumerate(zip(convolutions, (64, 128, 256, 512, 512), strict=True), 1):
        for index in range(1, count + 1):
            layers[f"conv{block}_{index}"] = nn.Conv2d(channels, width, 3, padding=1)
            layers[f"relu{block}_{index}"] = nn.ReLU()
            channels = width
        layers[f"pool{block}"] = nn.MaxPool2d(2, 2, ceil_mode=True)
    return with_classifier(layers, 512 * 7 * 7)


def torch_alexnet_caffe() -> Any:
    """Returns bvlc_alexnet: groups, local response normalisation, pooling that may hang over the edge."""
    from torch import nn

    layers = OrderedDict()
    shapes = ((3, 96, 11, 4, 0, 1), (96, 256, 5, 1, 2, 2), (256, 384, 3, 1, 1, 1), (384, 384, 3, 1, 1, 2))
    for index, (inputs, outputs, size, stride, padding, groups) in enumerate((*shapes, (384, 256, 3, 1, 1, 2)), 1):
        layers[f"conv{index}"] = nn.Conv2d(inputs, outputs, size, stride, padding, groups=groups)
        layers[f"relu{index}"] = nn.ReLU()
        if index in (1, 2):
            layers[f"norm{index}"] = nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0)
        if index in (1, 2, 5):
            layers[f"pool{index}"] = nn.MaxPool2d(3, 2, ceil_mode=True)
    return with_classifier(layers, 256 * 6 * 6)


def with_classifier(layers: OrderedDict[str, Any], features: int) -> Any:
    """Returns the net of these layers and of three fully connected ones on so many features."""
    from torch import nn

    layers["flatten"] = nn.Flatten()
    layers["fc6"], layers["relu6"] = nn.Linear(features, 4096), nn.ReLU()
    layers["fc7"], layers["relu7"] = nn.Linear(4096, 4096), nn.ReLU()
    layers["fc8"] = nn.Linear(4096, 1000)
    return nn.Sequential(layers)

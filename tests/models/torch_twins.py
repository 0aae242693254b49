"""The same nets in torch, layer by layer under the same names, filled from this project's variables.

Written by hand, so that no other library of models is needed. Nothing works in place: a hook then sees what a
layer returned.
"""

from collections import OrderedDict

import numpy as np
import torch
from torch import nn


def torch_vgg(convolutions, *, ceil_mode, adaptive):
    """Returns VGG as an ``nn.Sequential`` of named layers."""
    layers, channels = OrderedDict(), 3
    for block, (count, width) in enumerate(zip(convolutions, (64, 128, 256, 512, 512), strict=True), 1):
        for index in range(1, count + 1):
            layers[f"conv{block}_{index}"] = nn.Conv2d(channels, width, 3, padding=1)
            layers[f"relu{block}_{index}"] = nn.ReLU()
            channels = width
        layers[f"pool{block}"] = nn.MaxPool2d(2, 2, ceil_mode=ceil_mode)
    return nn.Sequential(_with_classifier(layers, 512, 7, adaptive))


def torch_alexnet_caffe():
    """Returns bvlc_alexnet: groups, local response normalisation, pooling that may hang over the edge."""
    layers = OrderedDict()
    shapes = ((3, 96, 11, 4, 0, 1), (96, 256, 5, 1, 2, 2), (256, 384, 3, 1, 1, 1), (384, 384, 3, 1, 1, 2))
    for index, (inputs, outputs, size, stride, padding, groups) in enumerate((*shapes, (384, 256, 3, 1, 1, 2)), 1):
        layers[f"conv{index}"] = nn.Conv2d(inputs, outputs, size, stride, padding, groups=groups)
        layers[f"relu{index}"] = nn.ReLU()
        if index in (1, 2):
            layers[f"norm{index}"] = nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0)
        if index in (1, 2, 5):
            layers[f"pool{index}"] = nn.MaxPool2d(3, 2, ceil_mode=True)
    return nn.Sequential(_with_classifier(layers, 256, 6, adaptive=False))


def torch_alexnet_torchvision():
    """Returns torchvision's single-tower AlexNet."""
    layers = OrderedDict()
    shapes = ((3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1), (384, 256, 3, 1, 1), (256, 256, 3, 1, 1))
    for index, shape in enumerate(shapes, 1):
        layers[f"conv{index}"] = nn.Conv2d(*shape)
        layers[f"relu{index}"] = nn.ReLU()
        if index in (1, 2, 5):
            layers[f"pool{index}"] = nn.MaxPool2d(3, 2)
    return nn.Sequential(_with_classifier(layers, 256, 6, adaptive=True))


def filled(model, variables, grid):
    """Puts this project's variables into a torch net, built on the device "meta", in evaluation mode."""
    params = variables["params"]
    for name, layer in model.named_children():
        if isinstance(layer, nn.Conv2d):
            weight = np.asarray(params[name]["kernel"]).transpose(3, 2, 0, 1)
        elif isinstance(layer, nn.Linear):
            weight = np.asarray(params[name]["kernel"]).T
            if name == "fc6":  # torch flattens channels first
                weight = weight.reshape(len(weight), grid, grid, -1).transpose(0, 3, 1, 2).reshape(len(weight), -1)
        else:
            continue
        layer.weight = nn.Parameter(torch.tensor(np.ascontiguousarray(weight)))
        layer.bias = nn.Parameter(torch.tensor(np.asarray(params[name]["bias"])))
    return model.eval()


def channels_first(images):
    """Turns ``(n, H, W, 3)`` numpy into a torch tensor ``(n, 3, H, W)``."""
    return torch.tensor(np.ascontiguousarray(np.moveaxis(np.asarray(images), -1, 1)))


def channels_last(tensor):
    """Turns a torch tensor ``(n, C, H, W)`` into ``(n, H, W, C)`` numpy."""
    return np.moveaxis(tensor.detach().numpy(), 1, -1)


def _with_classifier(layers, channels, grid, adaptive):
    if adaptive:
        layers["grid"] = nn.AdaptiveAvgPool2d(grid)
    layers["flatten"] = nn.Flatten()
    layers["fc6"], layers["relu6"] = nn.Linear(channels * grid * grid, 4096), nn.ReLU()
    layers["fc7"], layers["relu7"] = nn.Linear(4096, 4096), nn.ReLU()
    layers["fc8"] = nn.Linear(4096, 1000)
    return layers

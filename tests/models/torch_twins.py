"""The nets in torch that the benchmark times, and torchvision's, filled from this project's variables."""

from collections import OrderedDict

import numpy as np
import torch
from torch import nn

from gradcam_jax.experiments.benchmark.torch_nets import torch_alexnet_caffe, torch_vgg, with_classifier

__all__ = [
    "channels_first",
    "channels_last",
    "filled",
    "torch_alexnet_caffe",
    "torch_alexnet_torchvision",
    "torch_vgg",
    "torch_vgg_torchvision",
]


def torch_vgg_torchvision(convolutions):
    """VGG as torchvision has it: pooling windows stay inside, and pool5 is averaged over a 7x7 grid."""
    layers = OrderedDict()
    for name, layer in torch_vgg(convolutions).named_children():
        if name == "flatten":
            layers["grid"] = nn.AdaptiveAvgPool2d(7)
        layers[name] = nn.MaxPool2d(2, 2) if isinstance(layer, nn.MaxPool2d) else layer
    return nn.Sequential(layers)


def torch_alexnet_torchvision():
    """torchvision's single-tower AlexNet."""
    layers = OrderedDict()
    shapes = ((3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1), (384, 256, 3, 1, 1), (256, 256, 3, 1, 1))
    for index, shape in enumerate(shapes, 1):
        layers[f"conv{index}"] = nn.Conv2d(*shape)
        layers[f"relu{index}"] = nn.ReLU()
        if index in (1, 2, 5):
            layers[f"pool{index}"] = nn.MaxPool2d(3, 2)
    layers["grid"] = nn.AdaptiveAvgPool2d(6)
    return with_classifier(layers, 256 * 6 * 6)


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

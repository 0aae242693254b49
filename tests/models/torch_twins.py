"""The nets in torch that the benchmark times, filled from this project's variables."""

import numpy as np
import torch
from torch import nn

from gradcam_jax.experiments.benchmark.torch_nets import torch_alexnet_caffe, torch_alexnet_torchvision, torch_vgg

__all__ = [
    "channels_first",
    "channels_last",
    "filled",
    "torch_alexnet_caffe",
    "torch_alexnet_torchvision",
    "torch_vgg",
]


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

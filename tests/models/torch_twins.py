"""The nets in torch that the benchmark times, and torchvision's, filled from this project's variables."""

import importlib.util
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from gradcam_jax.experiments.benchmark.peers import import_pytorch_grad_cam
from gradcam_jax.experiments.benchmark.torch_nets import torch_alexnet_caffe, torch_vgg, with_classifier

__all__ = [
    "channels_first",
    "channels_last",
    "filled",
    "pytorch_grad_cam_map",
    "torch_alexnet_caffe",
    "torch_alexnet_torchvision",
    "torch_vgg",
    "torch_vgg_torchvision",
    "torchvision_net",
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


def torchvision_net(name):
    """Returns a classifier of torchvision's own, with random weights at which activations keep their scale."""
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("compares with torchvision: install the extra `oracle`")
    # It declares operators that classifiers do not need, and fails where they were built for another torch.
    sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))
    import torchvision.models

    with torch.device("meta"):  # no time is spent on weights that are replaced
        net = getattr(torchvision.models, name)(weights=None)
    net = net.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, tensor in net.state_dict().items():
            if key.endswith("num_batches_tracked"):
                tensor.fill_(7)
            elif key.endswith("running_var"):
                tensor.uniform_(0.8, 1.2, generator=generator)
            elif tensor.ndim < 2 and key.endswith("weight"):  # of a normalisation; blocks add their results up
                tensor.uniform_(*((0.2, 0.4) if "bn3" in key else (0.6, 1.2)), generator=generator)
            elif tensor.ndim < 2 or "embedding" in key or "class_token" in key:
                tensor.normal_(0, 0.1, generator=generator)
            else:
                gain = 2 if tensor.ndim == 4 and name.startswith("resnet") else 1
                tensor.normal_(0, (gain / tensor[0].numel()) ** 0.5, generator=generator)
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False  # captum's hooks do not take views that change
    return net.eval()


def pytorch_grad_cam_map(net, layer, inputs, labels, **options):
    """The raw map of pytorch-grad-cam, before it rectifies and scales."""
    if importlib.util.find_spec("pytorch_grad_cam") is None:
        pytest.skip("compares with pytorch-grad-cam: install the extra `oracle`")
    library = import_pytorch_grad_cam()
    targets = [library.utils.model_targets.ClassifierOutputTarget(label) for label in labels]
    with library.GradCAM(model=net, target_layers=[layer], **options) as method:
        method(input_tensor=inputs, targets=targets)
        store = method.activations_and_grads
        activations, gradients = (values[0].cpu().numpy() for values in (store.activations, store.gradients))
        return method.get_cam_image(inputs, layer, targets, activations, gradients, False)

"""Makes ``torch_golden.npz`` with torch and captum: ``python -m tests.golden.make_torch_golden``.

It needs the extra `oracle`. The weights are those of
``tests.models.small_vgg`` (numpy's PCG64, seed 0) and of the bundled EfficientNet-Lite0, the images those of
``tests.comparison.random_images``: both sides draw them afresh, so only the answers are kept.
"""

import datetime
from collections import OrderedDict
from pathlib import Path

import captum
import numpy as np
import torch
from captum.attr import GuidedBackprop, LayerGradCam
from efficientnet_lite_pytorch import EfficientNet
from torch import nn

from gradcam_jax.zoo import find, weights_path
from tests.comparison import random_images
from tests.models.small_vgg import SETTINGS, SIZE, small_vgg
from tests.models.torch_twins import channels_first, channels_last

LABELS = [2, 5]
PATH = Path(__file__).with_name("torch_golden.npz")


def small_vgg_in_torch() -> nn.Module:
    """Returns the small VGG with the same weights."""
    params = small_vgg()[1]["params"]
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for block in range(1, len(SETTINGS["channels"]) + 1):
        kernel = params[f"conv{block}_1"]["kernel"]
        layers[f"conv{block}_1"] = nn.Conv2d(kernel.shape[2], kernel.shape[3], 3, padding=1)
        layers[f"conv{block}_1"].weight.data = torch.tensor(kernel.transpose(3, 2, 0, 1).copy())
        layers[f"relu{block}_1"] = nn.ReLU()
        layers[f"pool{block}"] = nn.MaxPool2d(2, 2, ceil_mode=True)
    layers["flatten"] = nn.Flatten()
    for index in (6, 7, 8):
        kernel = params[f"fc{index}"]["kernel"]
        weight = kernel.T
        if index == 6:
            grid = SIZE // 2 ** len(SETTINGS["channels"])
            weight = weight.reshape(len(weight), grid, grid, -1).transpose(0, 3, 1, 2).reshape(len(weight), -1)
        layers[f"fc{index}"] = nn.Linear(*kernel.shape)
        layers[f"fc{index}"].weight.data = torch.tensor(weight.copy())
        if index != 8:
            layers[f"relu{index}"] = nn.ReLU()
    for name, layer in layers.items():
        if name in params:
            layer.bias.data = torch.tensor(params[name]["bias"])
    return nn.Sequential(layers).eval()


def main() -> None:
    """Computes the answers and writes them with their provenance."""
    model = small_vgg_in_torch()
    images = channels_first(random_images(2, SIZE))
    cam = LayerGradCam(model, model.relu3_1).attribute(images, target=LABELS)[:, 0]
    pixels = GuidedBackprop(model).attribute(images.requires_grad_(), target=LABELS)
    lite = EfficientNet.from_name("efficientnet-lite0")
    lite.load_state_dict(torch.load(weights_path(find("efficientnet_lite0"))))
    lite.eval()
    with torch.no_grad():
        lite_logits = lite(channels_first(random_images(1, 224)))
    np.savez_compressed(
        PATH,
        provenance=f"torch {torch.__version__}, captum {captum.__version__}, {datetime.date.today()}",
        labels=LABELS,
        logits=model(images).detach().numpy(),
        cam=cam.detach().numpy(),
        guided_backprop=channels_last(pixels),
        lite0_logits=lite_logits.numpy()[0],
    )


if __name__ == "__main__":
    main()

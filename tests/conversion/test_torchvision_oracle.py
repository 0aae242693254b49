"""State dicts under torchvision's names, written by PyTorch, against the same nets run by PyTorch."""

import jax
import numpy as np
import pytest

from gradcam_jax.conversion.rules import convert
from gradcam_jax.zoo import find
from gradcam_jax.zoo.originals import arrays_of, originals_of, read_file
from tests.comparison import assert_close
from tests.zoo.from_shapes import load_shapes

torch = pytest.importorskip("torch", reason="PyTorch (the extra `oracle`) is not installed")
pytestmark = pytest.mark.oracle


def classifier(inputs, dropout_first):
    nn = torch.nn
    first, second = nn.Linear(inputs, 4096), nn.Linear(4096, 4096)
    if dropout_first:  # AlexNet
        return nn.Sequential(
            nn.Dropout(), first, nn.ReLU(), nn.Dropout(), second, nn.ReLU(), nn.Linear(4096, 1000)
        )
    return nn.Sequential(first, nn.ReLU(), nn.Dropout(), second, nn.ReLU(), nn.Dropout(), nn.Linear(4096, 1000))


def vgg(convolutions):
    """torchvision's `vgg16`/`vgg19`, module by module."""
    nn, modules, inputs = torch.nn, [], 3
    for count, outputs in zip(convolutions, (64, 128, 256, 512, 512), strict=True):
        for _ in range(count):
            modules += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
            inputs = outputs
        modules.append(nn.MaxPool2d(2, 2))
    return twin(modules, 7, classifier(512 * 7 * 7, dropout_first=False))


def alexnet():
    """torchvision's `alexnet`, module by module."""
    nn = torch.nn
    modules = [
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
    ]
    return twin(modules, 6, classifier(256 * 6 * 6, dropout_first=True))


def twin(features, grid, head):
    net = torch.nn.Sequential()
    net.add_module("features", torch.nn.Sequential(*features))
    net.add_module("avgpool", torch.nn.AdaptiveAvgPool2d(grid))
    net.add_module("flatten", torch.nn.Flatten())
    net.add_module("classifier", head)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 0
            parameter.normal_(0, (2 / fan_in) ** 0.5 if fan_in else 0.05, generator=generator)
    return net.eval()


@pytest.mark.parametrize(
    ("name", "build", "zipped", "size"),
    [
        ("alexnet_torchvision", alexnet, True, (224, 224)),
        ("alexnet_torchvision", alexnet, False, (127, 200)),
        ("vgg16_torchvision", lambda: vgg((2, 2, 3, 3, 3)), False, (96, 64)),
        ("vgg19_torchvision", lambda: vgg((2, 2, 4, 4, 4)), True, (64, 96)),
    ],
)
def test_logits_are_pytorchs(name, build, zipped, size, tmp_path):
    net = build()
    path = tmp_path / "weights"
    torch.save(net.state_dict(), path, _use_new_zipfile_serialization=zipped)
    entry = find(name)
    arrays = arrays_of(entry, [read_file(path)]).arrays
    variables = convert(arrays, originals_of(entry).rules, load_shapes(name).variables)
    path.unlink()

    image = np.random.default_rng(1).standard_normal((*size, 3)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(image.transpose(2, 0, 1)[None].copy()))[0].numpy()
    logits = jax.jit(entry.build().apply)(variables, image)
    assert np.abs(expected).max() > 1
    assert_close(logits, expected, 1e-5)

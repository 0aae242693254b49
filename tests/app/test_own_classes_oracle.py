"""Networks that PyTorch saved, with heads of ten classes: converted, they return PyTorch's logits."""

import jax
import numpy as np
import pytest

import gradcam_jax as gc
from gradcam_jax.app import conversion
from tests.comparison import assert_close
from tests.conversion.test_torchvision_oracle import alexnet, vgg

torch = pytest.importorskip("torch", reason="PyTorch (the extra `oracle`) is not installed")
pytestmark = pytest.mark.oracle

NAMES = [f"kind {number}" for number in "abcdefghij"]


def with_head(net, *, wrapped, bias=True):
    """Puts a head of ten classes in the place of the last layer, as fine-tuning does."""
    head = torch.nn.Linear(4096, 10, bias=bias)
    with torch.no_grad():
        head.weight.normal_(0, (2 / 4096) ** 0.5, generator=torch.Generator().manual_seed(1))
    net.classifier[6] = torch.nn.Sequential(torch.nn.Dropout(0.2), head) if wrapped else head
    return net.eval()


def parallel(net):
    return {f"module.{name}": tensor for name, tensor in net.state_dict().items()}


def compiled(net):
    return {f"_orig_mod.{name}": tensor for name, tensor in net.state_dict().items()}


def lightning(net):
    state = {f"model.{name}": tensor for name, tensor in net.state_dict().items()}
    return {"state_dict": state, "epoch": 3, "global_step": 100, "optimizer_states": [{"param_groups": []}]}


@pytest.mark.parametrize(
    ("name", "build", "save", "options"),
    [
        ("alexnet_torchvision", alexnet, parallel, {"wrapped": False}),
        ("alexnet_torchvision", alexnet, lightning, {"wrapped": True}),
        ("alexnet_torchvision", alexnet, torch.nn.Module.state_dict, {"wrapped": True, "bias": False}),
        ("vgg16_torchvision", lambda: vgg((2, 2, 3, 3, 3)), compiled, {"wrapped": True}),
    ],
)
def test_logits_of_own_classes_are_pytorchs(name, build, save, options, tmp_path):
    net = with_head(build(), **options)
    torch.save(save(net), tmp_path / "my.pth")
    path = conversion.run(name, [tmp_path / "my.pth"], tmp_path / "my.safetensors", labels=NAMES)
    (tmp_path / "my.pth").unlink()
    loaded = gc.zoo.load(path)
    path.unlink()
    assert loaded.labels.entries == tuple(NAMES)

    image = np.random.default_rng(1).standard_normal((96, 80, 3)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(image.transpose(2, 0, 1)[None].copy()))[0].numpy()
    assert expected.shape == (10,)
    assert np.abs(expected).max() > 0.5
    assert_close(jax.jit(loaded.model.apply)(loaded.variables, image), expected, 1e-5)

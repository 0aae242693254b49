"""ResNet-50 and ViT-B/16 against torchvision's own, with captum's and pytorch-grad-cam's maps of them.

The weights are random, written by torch and converted as a user's file is.
"""

import functools
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax import explain, tapped
from gradcam_jax.attribution.layouts import channels_last
from gradcam_jax.conversion.rules import convert
from gradcam_jax.zoo import find
from gradcam_jax.zoo.originals import arrays_of, read_file
from tests.comparison import assert_close, random_images
from tests.zoo.from_shapes import load_shapes

torch = pytest.importorskip("torch", reason="compares with torch: install the extra `oracle`")
captum_attr = pytest.importorskip("captum.attr", reason="compares with captum: install the extra `oracle`")
torch_twins = pytest.importorskip("tests.models.torch_twins")

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU:UserWarning"),  # captum says so each time
]

LABELS = [3, 721]
RESNET, VIT = "resnet50_torchvision", "vit_b_16_torchvision"
# Name, size, layer here and there; ViT's as in pytorch-grad-cam's own example.
CASES = {
    "resnet50": (RESNET, (224, 224), "layer4_2", lambda net: net.layer4[-1]),
    "resnet50, an inner layer, another size": (RESNET, (160, 225), "layer3_0", lambda net: net.layer3[0]),
    "vit_b_16": (VIT, (224, 224), "encoder_layer_11/ln_1", lambda net: net.encoder.layers[-1].ln_1),
    "vit_b_16, an inner block": (VIT, (224, 224), "encoder_layer_5", lambda net: net.encoder.layers[5]),
    "vit_b_16, its patches": (VIT, (224, 224), "conv_proj", lambda net: net.conv_proj),
}


@functools.lru_cache(maxsize=1)
def net_and_variables(name):
    """The net of torchvision, and its weights after they went through a file."""
    net = torch_twins.torchvision_net(name.removesuffix("_torchvision"))
    return net, written_and_converted(name, net.state_dict())


def written_and_converted(name, weights):
    entry = find(name)
    with tempfile.TemporaryDirectory() as folder:
        torch.save(weights, f"{folder}/weights.pth")
        arrays = arrays_of(entry, [read_file(f"{folder}/weights.pth")]).arrays
    return convert(arrays, entry.originals.rules, load_shapes(name).variables, ignore=entry.originals.ignore)


def on_the_grid(tokens):
    """pytorch-grad-cam's `reshape_transform` of its ViT example."""
    return tokens[:, 1:, :].reshape(len(tokens), 14, 14, tokens.shape[2]).permute(0, 3, 1, 2)


@pytest.mark.parametrize("case", CASES)
def test_logits_and_activations(case):
    name, size, layer, find_module = CASES[case]
    net, variables = net_and_variables(name)
    images = random_images(2, *size)
    forward = jax.jit(lambda variables, image: tapped(find(name).build(), variables, layer)({}, image))
    logits, activations = jax.vmap(forward, in_axes=(None, 0))(variables, images)
    recorded = {}
    handle = find_module(net).register_forward_hook(lambda _, __, output: recorded.update(output=output))
    with torch.no_grad():
        expected = net(torch_twins.channels_first(images)).numpy()
    handle.remove()
    assert np.abs(expected).max() > 1
    assert_close(logits, expected)
    output = recorded["output"]
    assert_close(activations[layer], torch_twins.channels_last(output) if output.ndim == 4 else output.numpy())


@pytest.mark.parametrize("case", CASES)
def test_grad_cam(case):
    name, size, layer, find_module = CASES[case]
    net, variables = net_and_variables(name)
    images = random_images(2, *size).astype(np.float64)
    layout = channels_last if layer == "conv_proj" else find(name).layout
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):  # Flax's layer normalisation mixes types
        double = jax.tree.map(lambda leaf: leaf.astype(np.float64), variables)
        forward = tapped(find(name).build(), double, layer)
        cams = explain(forward, jnp.asarray(images), jnp.array(LABELS)[:, None], layout=layout).cam[:, 0]
    net, inputs = net.double(), torch_twins.channels_first(images)
    module, on_tokens = find_module(net), layout is not channels_last
    options = {"reshape_transform": on_the_grid} if on_tokens else {}
    assert_close(cams, torch_twins.pytorch_grad_cam_map(net, module, inputs, LABELS, **options))
    if not on_tokens:  # captum knows no tokens
        theirs = captum_attr.LayerGradCam(net, module).attribute(inputs, target=LABELS)
        assert_close(cams, theirs[:, 0].detach().numpy())
    net.float()


def test_guided_backprop_of_resnet50():
    net, variables = net_and_variables(RESNET)
    images = random_images(2, 224).astype(np.float64)
    inputs = torch_twins.channels_first(images).requires_grad_()
    theirs = captum_attr.GuidedBackprop(net.double()).attribute(inputs, target=LABELS)
    net.float()
    with jax.enable_x64(True):
        double = jax.tree.map(lambda leaf: leaf.astype(np.float64), variables)
        forward = tapped(find(RESNET).build(), double, "layer4_2")
        ours = explain(forward, jnp.asarray(images), jnp.array(LABELS)[:, None], guided=True).guided_backprop
    assert_close(ours[:, 0], torch_twins.channels_last(theirs), 1e-9)


def test_the_published_vit_has_older_names():
    net, variables = net_and_variables(VIT)
    older = {
        key.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): tensor
        for key, tensor in net.state_dict().items()
    }
    assert "encoder.layers.encoder_layer_0.mlp.linear_1.weight" in older
    jax.tree.map(np.testing.assert_array_equal, written_and_converted(VIT, older), variables)

"""VGG and AlexNet at full size against torch, captum and pytorch-grad-cam, with the same random weights."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.attribution.gradients import layer_grads
from gradcam_jax.attribution.maps import grad_cam
from gradcam_jax.attribution.pixels import input_grad
from gradcam_jax.attribution.relu_rules import guided
from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.interception.linen import tapped
from gradcam_jax.models.alexnet import alexnet, alexnet_torchvision
from gradcam_jax.models.vgg import vgg16, vgg16_torchvision, vgg19, vgg19_torchvision
from tests.comparison import assert_close, kaiming_variables, random_images

torch = pytest.importorskip("torch", reason="compares with torch: install the extra `oracle`")
captum_attr = pytest.importorskip("captum.attr", reason="compares with captum: install the extra `oracle`")
torch_twins = pytest.importorskip("tests.models.torch_twins")

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU:UserWarning"),  # captum says so each time
]

LABELS = [3, 721]
VGG16, VGG19 = (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)
CASES = {
    "vgg16": (vgg16, "relu5_3", 7, (224, 224), lambda: torch_twins.torch_vgg(VGG16)),
    "vgg19": (vgg19, "relu5_4", 7, (224, 224), lambda: torch_twins.torch_vgg(VGG19)),
    "vgg16_torchvision": (
        vgg16_torchvision, "relu5_3", 7, (128, 160), lambda: torch_twins.torch_vgg_torchvision(VGG16)
    ),
    "vgg19_torchvision": (
        vgg19_torchvision, "relu5_4", 7, (128, 160), lambda: torch_twins.torch_vgg_torchvision(VGG19)
    ),
    "alexnet": (alexnet, "relu5", 6, (227, 227), lambda: torch_twins.torch_alexnet_caffe()),
    "alexnet_torchvision": (
        alexnet_torchvision, "relu5", 6, (224, 320), lambda: torch_twins.torch_alexnet_torchvision()
    ),
    "alexnet_torchvision_square": (
        alexnet_torchvision, "relu5", 6, (224, 224), lambda: torch_twins.torch_alexnet_torchvision()
    ),
}  # fmt: skip

each_network = pytest.mark.parametrize("case", CASES, scope="module")
"""A network's tests follow each other, so that its weights are drawn once."""


@functools.lru_cache(maxsize=1)
def random_weights(build, size):
    return kaiming_variables(variable_shapes(build(), jax.ShapeDtypeStruct((*size, 3), jnp.float32)))


@each_network
def test_logits_and_activations(case):
    build, layer, grid, size, build_twin = CASES[case]
    variables = random_weights(build, size)
    images = random_images(2, *size)
    forward = jax.jit(lambda variables, image: tapped(build(), variables, layer)({}, image))
    logits, activations = jax.vmap(forward, in_axes=(None, 0))(variables, images)
    twin = torch_twin(build_twin, variables, grid)
    recorded = {}
    handle = getattr(twin, layer).register_forward_hook(lambda _, __, output: recorded.update(output=output))
    with torch.no_grad():
        assert_close(logits, twin(torch_twins.channels_first(images)).numpy())
    handle.remove()
    assert_close(activations[layer], torch_twins.channels_last(recorded["output"]))


@each_network
def test_grad_cam(case):
    # In float64, for the reason given below: the gates are those of fc6 and fc7.
    build, layer, grid, size, build_twin = CASES[case]
    variables = random_weights(build, size)
    images = random_images(2, *size).astype(np.float64)
    with jax.enable_x64(True):
        double = jax.tree.map(lambda leaf: leaf.astype(np.float64), variables)

        @jax.jit  # the variables are an argument: as constants, the compiler would fold half a gigabyte
        def ours(variables, images, labels):
            def cam(image, label):
                grads = layer_grads(tapped(build(), variables, layer), lambda y: y[label], image)
                return grad_cam(grads.activations[layer], grads.gradients[layer], rectify=False)

            return jax.vmap(cam)(images, labels)

        cams = ours(double, images, jnp.array(LABELS))
    twin = torch_twin(build_twin, variables, grid).double()
    inputs, target_layer = torch_twins.channels_first(images), getattr(twin, layer)
    theirs = captum_attr.LayerGradCam(twin, target_layer).attribute(inputs, target=LABELS)
    assert_close(cams, theirs[:, 0].detach().numpy())
    assert_close(cams, torch_twins.pytorch_grad_cam_map(twin, target_layer, inputs, LABELS))


@each_network
def test_guided_backprop(case):
    # In float64: among millions of rectifiers a few lie so near to zero that two programs' float32 roundings open
    # different gates, and one gate of an early layer moves its pixels by a percent of the maximum.
    build, _, grid, size, build_twin = CASES[case]
    variables = random_weights(build, size)
    images = random_images(2, *size).astype(np.float64)
    twin = torch_twin(build_twin, variables, grid).double()
    inputs = torch_twins.channels_first(images).requires_grad_()
    theirs = captum_attr.GuidedBackprop(twin).attribute(inputs, target=LABELS)
    with jax.enable_x64(True):
        double = jax.tree.map(lambda leaf: leaf.astype(np.float64), variables)

        @jax.jit
        def ours(variables, images, labels):
            forward = tapped(build(), variables).with_relu_rule(guided)
            return jax.vmap(lambda image, label: input_grad(forward, lambda y: y[label], image))(images, labels)

        pixels = ours(double, images, jnp.array(LABELS))
        assert pixels.dtype == jnp.float64
    assert_close(pixels, torch_twins.channels_last(theirs), 1e-9)


def torch_twin(build_twin, variables, grid):
    with torch.device("meta"):  # no time is spent on weights that are replaced
        twin = build_twin()
    return torch_twins.filled(twin, variables, grid)


def test_the_weights_keep_activations_at_scale():
    # At torchvision's default initialisation logits are 0.03 and any two programs agree.
    variables = random_weights(alexnet_torchvision, (224, 224))
    logits = jax.jit(alexnet_torchvision().apply)(variables, random_images(1, 224)[0])
    assert np.abs(np.asarray(logits)).max() > 1

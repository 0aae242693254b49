"""Exact parameter counts, layer names, sizes accepted and refused: every model must be in the table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.errors import InputError
from gradcam_jax.interception.linen import tapped
from gradcam_jax.interception.tapped import layer_shapes
from gradcam_jax.models.resnet import ResNet
from gradcam_jax.models.vision_transformer import VisionTransformer
from gradcam_jax.zoo import MODELS, example_inputs, find_layer, random_variables
from tests.comparison import assert_close, random_images
from tests.models.small_vgg import small_vgg
from tests.zoo.from_shapes import load_shapes

# Name -> parameters, mapped layer, its shape at the entry's size. The counts of VGG, AlexNet, ResNet and ViT are
# those that torchvision and the Caffe model zoo publish; EfficientNet-Lite0's is its authors' 4.7 M.
TABLE = {
    "vgg16": (138_357_544, "relu5_3", (14, 14, 512)),
    "vgg19": (143_667_240, "relu5_4", (14, 14, 512)),
    "vgg16_torchvision": (138_357_544, "relu5_3", (14, 14, 512)),
    "vgg19_torchvision": (143_667_240, "relu5_4", (14, 14, 512)),
    "alexnet": (60_965_224, "relu5", (13, 13, 256)),
    "alexnet_torchvision": (61_100_840, "relu5", (13, 13, 256)),
    "efficientnet_lite0": (4_652_008, "head_relu", (10, 10, 1280)),
    "resnet50_torchvision": (25_557_032, "layer4_2", (7, 7, 2048)),
    "vit_b_16_torchvision": (86_567_656, "encoder_layer_11/ln_1", (197, 768)),
}
CLASSIFIERS = {name: entry for name, entry in MODELS.items() if entry.task == "classification"}


def shapes_of(entry):
    return variable_shapes(entry.build(), *example_inputs(entry))


def layers_of(entry):
    return layer_shapes(tapped(entry.build(), shapes_of(entry)), *example_inputs(entry))


def test_every_classifier_is_in_the_table():
    assert set(CLASSIFIERS) == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_exact_parameter_count_and_mapped_layer(name):
    entry = CLASSIFIERS[name]
    parameters, layer, shape = TABLE[name]
    variables = shapes_of(entry)
    assert sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(variables["params"])) == parameters
    assert entry.parameters == parameters
    assert entry.layer == layer
    layers = layers_of(entry)
    assert layers[layer].shape == shape
    assert list(layers.values())[-1].shape == (1000,)


def test_vgg16_layers_are_caffes_in_caffes_order():
    layers = list(layers_of(CLASSIFIERS["vgg16"]))
    blocks = enumerate((2, 2, 3, 3, 3), 1)
    expected = [
        name
        for block, count in blocks
        for name in [f"{kind}{block}_{i + 1}" for i in range(count) for kind in ("conv", "relu")]
        + [f"pool{block}"]
    ]
    assert layers == [*expected, "fc6", "relu6", "fc7", "relu7", "fc8"]


@pytest.mark.parametrize(("name", "number", "layer"), [("vgg16", "30", "relu5_3"), ("vgg19", "36", "relu5_4")])
def test_layers_by_the_originals_numbers(name, number, layer):
    assert find_layer(load_shapes(name), number) == layer


def test_alexnets_relu5_is_number_14():
    assert find_layer(load_shapes("alexnet"), "14") == "relu5"


@pytest.mark.parametrize("number", ["0", "32"])
def test_a_layer_number_out_of_range(number):
    with pytest.raises(InputError, match="from 1 to 31"):
        find_layer(load_shapes("vgg16"), number)


@pytest.mark.parametrize(
    ("name", "size"), [("vgg16", 225), ("vgg19", 320), ("alexnet", 224), ("vit_b_16_torchvision", 256)]
)
def test_caffes_nets_and_vit_take_their_own_size_only_and_say_so(name, size):
    entry = CLASSIFIERS[name]
    image = jax.ShapeDtypeStruct((size, size, 3), jnp.float32)
    with pytest.raises(InputError, match=rf"only, got {size}x{size} instead"):
        variable_shapes(entry.build(), image)


@pytest.mark.parametrize("name", ["vgg16_torchvision", "alexnet_torchvision", "resnet50_torchvision"])
def test_torchvisions_nets_take_other_sizes(name):
    entry = CLASSIFIERS[name]
    own = shapes_of(entry)
    other = variable_shapes(entry.build(), jax.ShapeDtypeStruct((256, 320, 3), jnp.float32))
    assert jax.tree.map(lambda leaf: leaf.shape, own) == jax.tree.map(lambda leaf: leaf.shape, other)


@pytest.mark.parametrize("shape", [(32, 32), (32, 32, 1), (3, 32, 32)])
def test_what_is_not_an_rgb_image_is_an_error(shape):
    model, variables = small_vgg()
    with pytest.raises(InputError, match=r"images \(\.\.\., H, W, 3\)"):
        model.apply(variables, jnp.ones(shape))


SMALL = {
    "vgg": small_vgg()[0],
    "resnet": ResNet(blocks=(1, 2), channels=8, classes=7),
    "vit": VisionTransformer(patch_size=8, width=12, layers=2, heads=3, hidden=16, classes=7, input_size=32),
}


@pytest.mark.parametrize("name", SMALL)
def test_leading_axes_are_free(name):
    model = SMALL[name]
    variables = random_variables(model, jax.ShapeDtypeStruct((32, 32, 3), jnp.float32))
    images = jnp.asarray(random_images(6, 32)).reshape(2, 3, 32, 32, 3)
    outputs = model.apply(variables, images)
    assert outputs.shape == (2, 3, 7)
    assert_close(outputs[1, 2], model.apply(variables, images[1, 2]), 2e-6)


@pytest.mark.parametrize("name", SMALL)
def test_own_class_counts_and_features(name):
    model, image = SMALL[name].clone(classes=10), jnp.ones((32, 32, 3))
    variables = random_variables(model, image)
    assert model.apply(variables, image).shape == (10,)
    features = model.clone(classes=None)
    assert features.apply(variables, image).shape == {"vgg": (16,), "resnet": (64,), "vit": (12,)}[name]
    others = variable_shapes(features, image)["params"]
    assert len(variables["params"]) == len(others) + 1

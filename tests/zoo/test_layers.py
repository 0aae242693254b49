"""Layers by name and by number: one rule for every task."""

import pytest

from gradcam_jax.errors import InputError, LayerError
from gradcam_jax.zoo import find_layer, spatial_layers
from tests.zoo.from_shapes import load_shapes


@pytest.mark.parametrize(
    ("model", "names", "layer"),
    [
        ("vgg16", ("30", "relu5_3", ""), "relu5_3"),
        ("captioner_vgg16", ("30", "relu5_3", "cnn/relu5_3", ""), "cnn/relu5_3"),
        ("vqa_vgg19", ("36", "relu5_4", "cnn/relu5_4", ""), "cnn/relu5_4"),
        ("vqa_easy", ("relu2_1", "cnn/relu2_1", ""), "cnn/relu2_1"),
    ],
)
def test_layers_go_by_number_and_by_name_with_or_without_the_cnn(model, names, layer):
    loaded = load_shapes(model)
    assert [find_layer(loaded, name) for name in names] == [layer] * len(names)


def test_the_models_own_layer_is_known_without_tracing_the_model(monkeypatch):
    loaded = load_shapes("vgg16")
    monkeypatch.setattr("gradcam_jax.zoo.layers.layer_shapes", None)
    assert find_layer(loaded, "") == find_layer(loaded, "", 224) == "relu5_3"


@pytest.mark.parametrize("model", ["efficientnet_lite0", "alexnet", "vqa_easy", "captioner_vgg16"])
def test_numbers_count_the_layers_with_spatial_extent_from_one(model):
    loaded = load_shapes(model)
    layers = spatial_layers(loaded)
    assert all(len(shape) == 3 for shape in layers.values())
    assert find_layer(loaded, "1") == next(iter(layers))
    assert find_layer(loaded, str(len(layers))) == list(layers)[-1]
    for number in ("0", str(len(layers) + 1)):
        with pytest.raises(InputError, match=f"a layer number from 1 to {len(layers)}, got {number} instead"):
            find_layer(loaded, number)


@pytest.mark.parametrize("model", ["vgg16", "vqa_vgg19", "captioner_vgg16"])
def test_a_mistyped_layer_lists_the_nearest(model):
    with pytest.raises(LayerError, match="relu5_3"):
        find_layer(load_shapes(model), "relu5_7")


@pytest.mark.parametrize(
    ("model", "layer", "shape"),
    [
        ("vgg16", "fc6", r"\(4096,\)"),
        ("vqa_vgg19", "fc6", r"\(4096,\)"),
        ("captioner_vgg16", "cnn/fc7", r"\(4096,\)"),
        ("vqa_lite0", "image_features", r"\(1280,\)"),
    ],
)
def test_a_layer_without_spatial_extent_is_refused_with_its_shape(model, layer, shape):
    with pytest.raises(
        InputError, match=rf"{layer}' has no spatial extent \(its shape is {shape}\), so it has no"
    ):
        find_layer(load_shapes(model), layer)


def test_the_shapes_are_those_of_the_image_size():
    loaded = load_shapes("vqa_lite0")
    assert spatial_layers(loaded)["cnn/head_relu"] == (10, 10, 1280)
    assert spatial_layers(loaded, 224)["cnn/head_relu"] == (7, 7, 1280)

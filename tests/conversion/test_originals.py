"""Which files a model is made of: every table covers its model, and another model's file is told apart."""

from pathlib import Path

import flax.traverse_util
import jax
import numpy as np
import pytest

from gradcam_jax.conversion.rules import convert, variable_shapes
from gradcam_jax.conversion.vgg import vgg_from_caffe
from gradcam_jax.errors import CheckpointError, InputError
from gradcam_jax.models.vgg import VGG
from gradcam_jax.zoo import MODELS, find
from gradcam_jax.zoo.entries import CAFFE
from gradcam_jax.zoo.originals import File, arrays_of, originals_of, read_file
from tests.conversion.caffe_nets import vgg_layers
from tests.conversion.torch7_models import write_lstm
from tests.formats.caffe_writer import write_caffemodel
from tests.formats.torch_writer import write_state_dict
from tests.zoo.from_shapes import load_shapes

SMALL = {"channels": (4, 4, 4, 4, 512), "hidden": 16, "classes": 7}
WORDS_JSON = '{"ix_to_word": {"1": "what", "2": "UNK"}, "ix_to_ans": {"1": "cat", "2": "dog", "3": "yes"}}'


@pytest.mark.parametrize("name", [name for name, entry in MODELS.items() if entry.originals is not None])
def test_each_table_covers_its_model(name):
    expected = flax.traverse_util.flatten_dict(load_shapes(name).variables, sep="/")
    assert sorted(rule.target for rule in originals_of(find(name)).rules) == sorted(expected)


def test_a_model_that_is_trained_here_has_no_originals():
    with pytest.raises(InputError, match=r"vqa_lite0 is not made from other programs' files.*scripts/train\.py"):
        arrays_of(find("vqa_lite0"), [])


def small_vgg_file(path, convolutions=(2, 2, 3, 3, 3), **options):
    layers = vgg_layers(convolutions, **SMALL)
    write_caffemodel(path, layers, **options)
    return {layer.name: layer.blobs for layer in layers}


@pytest.mark.parametrize(
    "options", [{"layout": "V0"}, {"layout": "V1"}, {"layout": "V2"}, {"layout": "V2", "legacy_shape": False}]
)
def test_every_generation_of_caffe_files_converts(tmp_path, options):
    blobs = small_vgg_file(tmp_path / "net", **options)
    file = read_file(tmp_path / "net")
    expected = variable_shapes(VGG(**SMALL), jax.ShapeDtypeStruct((224, 224, 3), np.float32))
    params = convert(file.arrays, vgg_from_caffe((2, 2, 3, 3, 3)), expected)["params"]
    weight, bias = blobs["fc6"]
    place = (3 * 7 + 5) * 512 + 400  # row 3, column 5, channel 400
    np.testing.assert_array_equal(params["fc6"]["kernel"][place], weight[:, (400 * 7 + 3) * 7 + 5])
    np.testing.assert_array_equal(params["fc6"]["bias"], bias)
    np.testing.assert_array_equal(params["conv3_2"]["kernel"][2, 1, 3, 0], blobs["conv3_2"][0][0, 3, 2, 1])


def test_a_file_of_another_model_names_that_model(tmp_path):
    small_vgg_file(tmp_path / "net", (2, 2, 4, 4, 4))
    with pytest.raises(CheckpointError, match=r"net is not a file of vgg16. .* fits --model vgg19"):
        arrays_of(find("vgg16"), [read_file(tmp_path / "net")])


def test_a_file_of_another_program_names_its_model(tmp_path):
    arrays = {rule.source: np.zeros(1, np.float32) for rule in originals_of(find("vgg16_torchvision")).rules}
    write_state_dict(tmp_path / "weights", arrays)
    message = r"made from caffemodel or torch7, got weights \(pytorch\)\. .*vgg16_torchvision"
    with pytest.raises(InputError, match=message):
        arrays_of(find("vgg16"), [read_file(tmp_path / "weights")])


def test_caffenet_is_not_taken_for_alexnet():
    arrays = {rule.source: np.zeros(1, np.float32) for rule in originals_of(find("alexnet")).rules}
    alexnet = File(Path("net"), CAFFE, arrays, layers=("conv1", "relu1", "norm1", "pool1", "conv2"))
    assert arrays_of(find("alexnet"), [alexnet]).arrays == arrays
    caffenet = alexnet._replace(layers=("conv1", "relu1", "pool1", "norm1", "conv2"))
    with pytest.raises(CheckpointError, match="expected norm1 to come before pool1"):
        arrays_of(find("alexnet"), [caffenet])


def test_vqa_is_put_together_from_three_files_in_any_order(tmp_path):
    small_vgg_file(tmp_path / "cnn", (2, 2, 4, 4, 4))
    write_lstm(tmp_path / "lstm", 2)
    (tmp_path / "words").write_text(WORDS_JSON)
    files = [read_file(tmp_path / name) for name in ("words", "cnn", "lstm")]
    arrays = arrays_of(find("vqa_vgg19"), files).arrays
    originals = originals_of(find("vqa_vgg19"))
    assert {rule.source for rule in originals.rules} == {key for key in arrays if not originals.ignore(key)}
    assert files[0].words == ("what", "UNK")
    assert files[0].answers == ("cat", "dog", "yes")


def test_a_missing_file_is_reported(tmp_path):
    write_lstm(tmp_path / "lstm", 2)
    with pytest.raises(InputError, match="made from caffemodel, torch7, vocabulary, got lstm"):
        arrays_of(find("vqa_vgg19"), [read_file(tmp_path / "lstm")])

"""The original's VQA model and captioner at full size: from files in their published layouts to loaded models."""

import json

import jax
import numpy as np
import pytest

from gradcam_jax.app import conversion
from gradcam_jax.zoo import CHECKPOINTS_VARIABLE, find_layer, load
from tests.comparison import assert_close, random_images
from tests.conversion.caffe_nets import vgg_layers
from tests.conversion.torch7_models import write_lstm, write_neuraltalk2
from tests.formats.caffe_writer import write_caffemodel

WORDS = [f"word{index}" for index in range(12_601)] + ["UNK"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of half a gigabyte, emptied at once."""
    monkeypatch.setenv(CHECKPOINTS_VARIABLE, str(tmp_path))
    yield tmp_path
    for path in tmp_path.iterdir():
        path.unlink()


def test_the_originals_three_vqa_files(folder):
    layers = vgg_layers((2, 2, 4, 4, 4))
    write_caffemodel(folder / "vgg19.caffemodel", layers)
    vectors = write_lstm(folder / "lstm.t7", len(WORDS))
    vocabulary = {
        "ix_to_word": {str(index): word for index, word in enumerate(WORDS, 1)},
        "ix_to_ans": {str(index): f"answer{index}" for index in range(1, 1001)},
    }
    (folder / "data_prepro.json").write_text(json.dumps(vocabulary))
    files = [folder / name for name in ("lstm.t7", "data_prepro.json", "vgg19.caffemodel")]
    assert conversion.run("vqa_vgg19", files) == folder / "vqa_vgg19.safetensors"

    loaded = load("vqa_vgg19")
    assert (loaded.words.entries[-1], loaded.labels.entries[0]) == ("UNK", "answer1")
    assert [source.name for source in loaded.card.sources] == ["lstm.t7", "data_prepro.json", "vgg19.caffemodel"]
    params = loaded.variables["params"]
    np.testing.assert_array_equal(params["classifier"]["bias"], vectors["multimodal_w"][-1000:])
    np.testing.assert_array_equal(params["cnn"]["conv5_4"]["bias"], layers_named(layers, "conv5_4").blobs[1])
    assert "fc8" not in params["cnn"]

    image, tokens = random_images(1, 224)[0], np.zeros(26, np.int32)
    tokens[:3] = [5, 7, 12_601]
    scores = jax.jit(loaded.model.apply)(loaded.variables, image, tokens, np.int32(3))
    assert scores.shape == (1000,)
    assert np.isfinite(np.asarray(scores)).all()


def layers_named(layers, name):
    return next(layer for layer in layers if layer.name == name)


def test_neuraltalk2s_checkpoint(folder):
    words = [f"word{index}" for index in range(9566)] + ["UNK"]
    path = folder / "model_id1-501-1448236541.t7"
    arrays = write_neuraltalk2(path, words, channels=(64, 128, 256, 512, 512), hidden=4096, size=512)
    conversion.run("captioner_vgg16", [path])

    loaded = load("captioner_vgg16")
    assert loaded.words.entries == tuple(words)
    params = loaded.variables["params"]
    assert_close(params["decoder"]["kernel"], arrays["decoder/weight"].T, 0)
    assert_close(params["cnn"]["fc7"]["kernel"], arrays["cnn/36/weight"].T, 0)
    assert find_layer(loaded, "30") == "cnn/relu5_3"

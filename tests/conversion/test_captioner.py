"""neuraltalk2's GPU and CPU files: every weight, and what the converted captioner says, against plain numpy."""

import jax
import numpy as np
import pytest

from gradcam_jax.conversion.captioner import captioner_arrays, captioner_from_torch7, captioner_words
from gradcam_jax.conversion.rules import convert, variable_shapes
from gradcam_jax.errors import CheckpointError
from gradcam_jax.formats.torch7 import read_torch7
from gradcam_jax.models.captioner import Captioner
from gradcam_jax.models.vgg import VGG
from gradcam_jax.zoo.originals import read_file
from tests.comparison import assert_close
from tests.conversion.torch7_models import write_neuraltalk2
from tests.formats.torch7_writer import write_torch7

WORDS = ("a", "cat", "dog", "and", "UNK")
SIZE = 8  # of the image's, the words' and the LSTM's vectors


def small_captioner():
    cnn = VGG(channels=(4, 4, 4, 4, 512), hidden=16, classes=None)
    return Captioner(cnn=cnn, words=len(WORDS), embedding_size=SIZE, hidden_size=SIZE)


@pytest.fixture(scope="module", params=["gpu", "cpu", "without nodes"])
def converted(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("captioner") / "model.t7"
    gpu, named_nodes = request.param != "cpu", request.param != "without nodes"
    written = write_neuraltalk2(path, WORDS, gpu=gpu, named_nodes=named_nodes)
    file = read_file(path)
    assert file.words == WORDS
    image = jax.ShapeDtypeStruct((224, 224, 3), np.float32)
    expected = variable_shapes(small_captioner(), image, np.zeros(3, np.int32))
    return written, convert(file.arrays, captioner_from_torch7(), expected)


def original_features(arrays, image):
    """The CNN's 512-d vector (here 8), modules 1 to 40, on an image (C, H, W)."""
    x, number = image.astype(np.float64), 1
    for count in (2, 2, 3, 3, 3):
        for _ in range(count):
            weight, bias = arrays[f"cnn/{number}/weight"], arrays[f"cnn/{number}/bias"]
            windows = np.lib.stride_tricks.sliding_window_view(
                np.pad(x, ((0, 0), (1, 1), (1, 1))), (3, 3), axis=(1, 2)
            )
            x = np.tensordot(weight, windows, axes=([1, 2, 3], [0, 3, 4])) + bias[:, None, None]
            x, number = np.maximum(x, 0), number + 2
        channels, height, width = x.shape
        x, number = x.reshape(channels, height // 2, 2, width // 2, 2).max(axis=(2, 4)), number + 1
    x = x.reshape(-1)
    for number in (33, 36, 39):
        x = np.maximum(arrays[f"cnn/{number}/weight"] @ x + arrays[f"cnn/{number}/bias"], 0)
    return x


def original_log_probabilities(arrays, image, words):
    """What the language model says after the image, START and each word; `words` count from 1."""
    start = len(WORDS) + 1
    cell, hidden, said = np.zeros(SIZE), np.zeros(SIZE), []
    embeddings = [arrays["lookup_table/weight"][token - 1] for token in (start, *words)]
    for step, x in enumerate([original_features(arrays, image), *embeddings]):
        a = arrays["i2h/weight"] @ x + arrays["i2h/bias"] + arrays["h2h/weight"] @ hidden + arrays["h2h/bias"]
        into, forget, out, candidate = a.reshape(4, SIZE)
        into, forget, out = (1 / (1 + np.exp(-gate)) for gate in (into, forget, out))
        cell = forget * cell + into * np.tanh(candidate)
        hidden = out * np.tanh(cell)
        logits = arrays["decoder/weight"] @ hidden + arrays["decoder/bias"]
        if step > 0:
            said.append(logits - np.log(np.sum(np.exp(logits))))
    return np.stack(said)


def test_it_says_what_the_original_says(converted):
    arrays, variables = converted
    image = np.random.default_rng(5).standard_normal((224, 224, 3)).astype(np.float32)
    said = jax.jit(small_captioner().apply)(variables, image, np.array([0, 1, 4], np.int32))
    assert_close(said, original_log_probabilities(arrays, image.transpose(2, 0, 1), [1, 2, 5]))


def test_every_weight_of_the_language_model_has_its_place(converted):
    arrays, variables = converted
    params = variables["params"]
    np.testing.assert_array_equal(params["word_embedding"]["embedding"], arrays["lookup_table/weight"])
    for name, module in {
        "i2h": params["lstm"]["i2h"],
        "h2h": params["lstm"]["h2h"],
        "decoder": params["decoder"],
        "cnn/39": params["image_embedding"],
        "cnn/36": params["cnn"]["fc7"],
    }.items():
        np.testing.assert_array_equal(module["kernel"], arrays[f"{name}/weight"].T)
        np.testing.assert_array_equal(module["bias"], arrays[f"{name}/bias"])


def test_another_table_is_refused():
    with pytest.raises(CheckpointError, match=r"protos\.cnn and protos\.lm"):
        captioner_arrays({"protos": {}})


def test_a_gap_in_the_words_is_refused(tmp_path):
    write_torch7(tmp_path / "vocab.t7", {"vocab": {"1": "a", "3": "b"}})
    with pytest.raises(CheckpointError, match="a word for 1 to 2, got None for 2"):
        captioner_words(read_torch7(tmp_path / "vocab.t7"))

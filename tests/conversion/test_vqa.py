"""`lstm.t7` in its exact layout: every weight's place, and the converted model's scores."""

import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.conversion.rules import convert
from gradcam_jax.conversion.vqa import UNUSED_PROJECTION, Sizes, split_vectors, vqa_from_torch7
from gradcam_jax.errors import CheckpointError
from gradcam_jax.formats.torch7 import read_torch7
from gradcam_jax.models.lstm import Lstm
from gradcam_jax.zoo.originals import read_file
from tests.comparison import assert_close
from tests.conversion.torch7_models import write_lstm

PUBLISHED_WORDS = 12602
SHAPES = {
    "word_embedding": (PUBLISHED_WORDS, 200),
    "lstm_1/i2h": (200, 2048),
    "lstm_1/h2h": (512, 2048),
    "lstm_2/i2h": (512, 2048),
    "lstm_2/h2h": (512, 2048),
    "question_projection": (2048, 1024),
    "image_projection": (4096, 1024),
    "classifier": (1024, 1000),
}


def expected_variables():
    params = {}
    for path, shape in SHAPES.items():
        node = params
        for name in path.split("/"):
            node = node.setdefault(name, {})
        node |= {"kernel": np.empty(shape), "bias": np.empty(shape[1:])}
    return {"params": params}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The three vectors of a file in the published layout, and the variables that it converts to."""
    path = tmp_path_factory.mktemp("vqa") / "lstm.t7"
    vectors = write_lstm(path, PUBLISHED_WORDS)
    assert path.stat().st_size == 53_612_941
    arrays = read_file(path).arrays
    path.unlink()
    variables = convert(
        arrays, vqa_from_torch7(), expected_variables(), ignore=lambda key: key.startswith(UNUSED_PROJECTION)
    )
    return vectors, variables["params"]


def linear(vector, first, outputs, inputs):
    """A linear layer's weight (out, in) and bias at a place that the original's `parameters()` gives it."""
    bias = first + outputs * inputs
    return vector[first:bias].reshape(outputs, inputs), vector[bias : bias + outputs]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def original_lstm(i2h, h2h, inputs):
    """One layer over a question: (in, forget, out, candidate), the cell and the hidden vector of each step."""
    cell, hidden, states = np.zeros(512), np.zeros(512), []
    for x in inputs:
        a = i2h[0] @ x + i2h[1] + h2h[0] @ hidden + h2h[1]
        into, forget, out = (sigmoid(a[gate * 512 : (gate + 1) * 512]) for gate in range(3))
        cell = forget * cell + into * np.tanh(a[1536:])
        hidden = out * np.tanh(cell)
        states.append((cell, hidden))
    return states


def original_scores(vectors, words, image):
    """The original's network, written out from the flat vectors; `words` count from 1 as in its files."""
    vectors = {name: vector.astype(np.float64) for name, vector in vectors.items()}
    embedding, encoder, fusion = (vectors[n] for n in ("embedding_w_q", "encoder_w_q", "multimodal_w"))
    weight, bias = linear(embedding, 0, 200, PUBLISHED_WORDS)
    inputs = [np.tanh(weight[:, word - 1] + bias) for word in words]
    first = original_lstm(linear(encoder, 0, 2048, 200), linear(encoder, 411_648, 2048, 512), inputs)
    second = original_lstm(
        linear(encoder, 1_462_272, 2048, 512),
        linear(encoder, 2_512_896, 2048, 512),
        [hidden for _, hidden in first],
    )
    question = np.concatenate([*first[-1], *second[-1]])
    (w_q, b_q), (w_i, b_i) = linear(fusion, 0, 1024, 2048), linear(fusion, 2_098_176, 1024, 4096)
    weight, bias = linear(fusion, 6_293_504, 1000, 1024)
    unit = image / np.sqrt(np.sum(image**2) + 1e-10)
    return weight @ (np.tanh(w_q @ question + b_q) * np.tanh(w_i @ unit + b_i)) + bias


def converted_scores(params, rows, image):
    def dense(name, x):
        return x @ params[name]["kernel"] + params[name]["bias"]

    embedding = params["word_embedding"]
    sequence = jnp.tanh(embedding["kernel"][np.asarray(rows)] + embedding["bias"][None])
    length, state = jnp.asarray(len(rows)), []
    for name in ("lstm_1", "lstm_2"):
        last, sequence = Lstm(512).apply({"params": params[name]}, sequence, length)
        state += [last.cell, last.hidden]
    unit = image / np.sqrt(np.sum(image**2) + 1e-10)
    both = jnp.tanh(dense("question_projection", jnp.concatenate(state))) * jnp.tanh(
        dense("image_projection", unit)
    )
    return dense("classifier", both)


def test_scores_are_those_of_the_original_network(published):
    vectors, params = published
    image = np.maximum(np.random.default_rng(3).standard_normal(4096), 0).astype(np.float32)
    words = [1, 17, 9000, PUBLISHED_WORDS]  # counted from 1
    scores = converted_scores(params, [word - 1 for word in words], image)
    assert_close(scores, original_scores(vectors, words, image.astype(np.float64)), 1e-5)


@pytest.mark.parametrize(
    ("path", "vector", "first"),
    [
        ("word_embedding", "embedding_w_q", 0),
        ("lstm_1/i2h", "encoder_w_q", 0),
        ("lstm_1/h2h", "encoder_w_q", 411_648),
        ("lstm_2/i2h", "encoder_w_q", 1_462_272),
        ("lstm_2/h2h", "encoder_w_q", 2_512_896),
        ("question_projection", "multimodal_w", 0),
        ("image_projection", "multimodal_w", 2_098_176),
        ("classifier", "multimodal_w", 6_293_504),
    ],
)
def test_every_weight_has_its_place(published, path, vector, first):
    vectors, params = published
    for name in path.split("/"):
        params = params[name]
    inputs, outputs = SHAPES[path]
    weight, bias = linear(vectors[vector], first, outputs, inputs)
    np.testing.assert_array_equal(params["kernel"], weight.T)
    np.testing.assert_array_equal(params["bias"], bias)


def test_smaller_models_of_the_same_kind_are_split_by_their_sizes(tmp_path):
    sizes = Sizes(word=2, hidden=3, common=4, answers=5, image=6)
    table = {
        "embedding_w_q": np.arange(2 * 7 + 2.0),
        "encoder_w_q": np.arange(12 * (2 + 1) + 3 * 12 * (3 + 1) + 4.0),
        "multimodal_w": np.arange(4 * 13 + 4 * 7 + 5 * 5.0),
    }
    arrays = split_vectors(table, sizes)
    assert arrays["word_embedding/weight"].shape == (2, 7)
    assert arrays["classifier/weight"].shape == (5, 4)
    np.testing.assert_array_equal(arrays["classifier/bias"], table["multimodal_w"][-5:])


@pytest.mark.parametrize("name", ["embedding_w_q", "encoder_w_q", "multimodal_w"])
def test_a_vector_of_another_length_is_refused(tmp_path, name):
    vectors = write_lstm(tmp_path / "lstm.t7", 3)
    vectors[name] = vectors[name][:-1]
    with pytest.raises(CheckpointError, match=rf"{name}: expected [\d,]+ numbers, got {vectors[name].size:,}"):
        split_vectors(vectors)


def test_another_table_is_refused(tmp_path):
    write_lstm(tmp_path / "lstm.t7", 3)
    table = dict(read_torch7(tmp_path / "lstm.t7"))
    del table["multimodal_w"]
    with pytest.raises(CheckpointError, match=r"encoder_w_q, multimodal_w, as in lstm\.t7"):
        split_vectors(table)

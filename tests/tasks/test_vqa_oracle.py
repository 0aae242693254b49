"""The whole VQA model and its raw map against a PyTorch twin: torch.nn.LSTM, torch's layers, torch's autograd."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from gradcam_jax.models.vgg import VGG, vgg19
from gradcam_jax.models.vqa import VQA

torch = pytest.importorskip("torch", reason="the twin is written in PyTorch (extra `oracle`)")

pytestmark = pytest.mark.oracle

SMALL = VGG((1, 2), (6, 8), hidden=20, classes=None, input_size=16)
LENGTHS = (1, 5, 26)


def _tensor(array) -> "torch.Tensor":
    return torch.from_numpy(np.array(array, np.float64))


def _lstm(parameters) -> "torch.nn.LSTM":
    """Returns torch's LSTM with the same weights: its gates are in, forget, candidate, out."""
    layers = [parameters["lstm_1"], parameters["lstm_2"]]
    hidden = layers[0]["h2h"]["kernel"].shape[0]
    lstm = torch.nn.LSTM(layers[0]["i2h"]["kernel"].shape[0], hidden, 2, dtype=torch.float64)
    order = np.concatenate(
        [np.arange(2 * hidden), np.arange(3 * hidden, 4 * hidden), np.arange(2 * hidden, 3 * hidden)]
    )
    for index, layer in enumerate(layers):
        for ours, theirs in (("i2h", "ih"), ("h2h", "hh")):
            getattr(lstm, f"weight_{theirs}_l{index}").data = _tensor(
                np.asarray(layer[ours]["kernel"])[:, order].T
            )
            getattr(lstm, f"bias_{theirs}_l{index}").data = _tensor(np.asarray(layer[ours]["bias"])[order])
    return lstm


def _convolve(x, layer):
    kernel = _tensor(np.asarray(layer["kernel"]).transpose(3, 2, 0, 1))
    return torch.nn.functional.conv2d(x, kernel, _tensor(layer["bias"]), padding=1).relu()


def _dense(x, layer):
    return x @ _tensor(layer["kernel"]) + _tensor(layer["bias"])


def twin(model: VQA, parameters, image, words) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Returns the scores and the activations of the last convolution, both in torch's graph."""
    x = _tensor(image).permute(2, 0, 1)[None]
    cnn = parameters["cnn"]
    for block, count in enumerate(model.cnn.convolutions, 1):
        for index in range(1, count + 1):
            x = activations = _convolve(x, cnn[f"conv{block}_{index}"])
            if (block, index) == (len(model.cnn.convolutions), count):
                activations.requires_grad_()
        x = torch.nn.functional.max_pool2d(x, 2)
    x = x.permute(0, 2, 3, 1).flatten(1)  # fc6 is laid out for height, width, channels here
    feature = _dense(_dense(x, cnn["fc6"]).relu(), cnn["fc7"]).relu()[0]
    feature = feature / (feature.square().sum() + 1e-10).sqrt()
    table = parameters["word_embedding"]
    embedded = (
        _tensor(table["kernel"])[torch.from_numpy(np.array(words, np.int64))] + _tensor(table["bias"])
    ).tanh()
    _, (hidden, cell) = _lstm(parameters)(embedded)
    question = torch.cat([cell[0], hidden[0], cell[1], hidden[1]])
    fused = _dense(question, parameters["question_projection"]).tanh() * (
        _dense(feature, parameters["image_projection"]).tanh()
    )
    return _dense(fused, parameters["classifier"]), activations


def raw_map(scores, activations, answer: int) -> np.ndarray:
    (gradient,) = torch.autograd.grad(scores[answer], activations, retain_graph=True)
    return (gradient.mean((2, 3), keepdim=True) * activations).sum(1)[0].detach().numpy()


def alive(shapes, seed: int):
    """Returns random weights of about the size that keeps activations of order 1 through every layer."""
    leaves, tree = jax.tree.flatten(shapes)
    rng = np.random.default_rng(seed)

    def draw(leaf) -> np.ndarray:
        fan_in = int(np.prod(leaf.shape[:-1])) if len(leaf.shape) > 1 else 100
        return (rng.standard_normal(leaf.shape, np.float32) * np.float32(np.sqrt(2 / fan_in))).astype(np.float32)

    return jax.tree.unflatten(tree, [draw(leaf) for leaf in leaves])


def _close(found, expected) -> None:
    """Agreement within 1e-5 of the largest magnitude: what float32 against float64 leaves."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def _variables(model: VQA, image, seed: int):
    shapes = jax.eval_shape(model.init, jax.random.key(0), image, jnp.zeros(26, jnp.int32), jnp.int32(1))
    return alive(shapes, seed)


def test_scores_and_maps_of_a_padded_batch():
    model = VQA(cnn=SMALL, words=40, answers=12, embedding=20, hidden=24, common=32)
    rng = np.random.default_rng(1)
    images = rng.standard_normal((3, 16, 16, 3)).astype(np.float32)
    variables = _variables(model, images[0], 2)
    ids = rng.integers(0, 40, (3, 26)).astype(np.int32)

    answers = np.broadcast_to([4, 9], (3, 2))
    forward = gc.tapped(model, variables, "cnn/relu2_2")
    found = gc.explain(forward, images, answers, ids, np.array(LENGTHS, np.int32))
    for index, length in enumerate(LENGTHS):
        scores, activations = twin(model, variables["params"], images[index], ids[index, :length])
        _close(found.outputs[index], scores.detach().numpy())
        _close(found.cam[index, 0], raw_map(scores, activations, 4))
        _close(found.cam[index, 1], raw_map(scores, activations, 9))


def test_vgg19_at_full_size():
    model = VQA(cnn=vgg19(classes=None), words=60, answers=30)
    rng = np.random.default_rng(3)
    image = (50 * rng.standard_normal((224, 224, 3))).astype(np.float32)
    variables = _variables(model, image, 4)
    ids = np.pad(rng.integers(0, 60, 5), (0, 21)).astype(np.int32)

    batch = (np.asarray(leaf)[np.newaxis] for leaf in (image, [7], ids, np.int32(5)))
    explained = gc.explain(gc.tapped(model, variables, "cnn/relu5_4"), *batch)
    scores, activations = twin(model, variables["params"], image, ids[:5])
    _close(explained.outputs[0], scores.detach().numpy())
    _close(explained.cam[0, 0], raw_map(scores, activations, 7))

"""The VQA model from ``lstm.t7`` and VGG-19.

``lstm.t7`` holds three vectors, each the concatenated parameters of one network: of every linear layer the
weight, (out, in) row by row, then the bias. Layer 2's two matrices have equal shapes, so no shape would show a
swap of them: the order is that of the original's ``parameters()``.

References:
    VT-vision-lab/VQA_LSTM_CNN, ``eval.lua`` and ``misc/LSTM.lua``.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gradcam_jax.conversion.rules import Rule, dense, inside, weight_and_bias
from gradcam_jax.conversion.vgg import VGG19, vgg_from_caffe
from gradcam_jax.errors import CheckpointError

UNUSED_PROJECTION = "encoder_projection/"
"""The encoder's projection to one number is in the file, but its output is unused."""

VECTORS = ("embedding_w_q", "encoder_w_q", "multimodal_w")
"""The keys of the table in ``lstm.t7``."""


class Sizes(NamedTuple):
    """The sizes of the original's options; the published model has the defaults.

    They are ``-input_encoding_size`` (a word's vector), ``-rnn_size``, ``-common_embedding_size``,
    ``-num_output``, and the width of the image's vector (VGG-19's ``fc7``).
    """

    word: int = 200
    hidden: int = 512
    common: int = 1024
    answers: int = 1000
    image: int = 4096


def is_vqa_table(root: Any) -> bool:
    """Tells whether the content of a Torch7 file is a table of the three vectors."""
    return isinstance(root, Mapping) and all(isinstance(root.get(name), np.ndarray) for name in VECTORS)


def split_vectors(table: Mapping[str, np.ndarray], sizes: Sizes = Sizes()) -> dict[str, np.ndarray]:  # noqa: B008
    """Splits the three vectors into each layer's ``"lstm_1/i2h/weight"`` (out, in) and bias (out,): views on them.

    The number of words follows from the length of ``embedding_w_q``.

    Raises:
        CheckpointError: If a vector is missing or of another length.
    """
    if not is_vqa_table(table):
        raise CheckpointError(f"Expected a table of the vectors {', '.join(VECTORS)}, as in lstm.t7.")
    words = table["embedding_w_q"].size // sizes.word - 1
    arrays: dict[str, np.ndarray] = {}
    for name, layers in _layout(words, sizes).items():
        vector = table[name].reshape(-1)
        expected = sum((inputs + 1) * outputs for _, outputs, inputs in layers)
        if vector.size != expected or words < 1:
            raise CheckpointError(f"{name}: expected {expected:,} numbers, got {vector.size:,} ({sizes}).")
        position = 0
        for layer, outputs, inputs in layers:
            bias = position + outputs * inputs
            arrays[f"{layer}/weight"] = vector[position:bias].reshape(outputs, inputs)
            arrays[f"{layer}/bias"] = vector[bias : bias + outputs]
            position = bias + outputs
    return arrays


def _layout(words: int, sizes: Sizes) -> dict[str, list[tuple[str, int, int]]]:
    """Returns the linear layers of each vector in order: (name, outputs, inputs)."""
    word, hidden, common, answers, image = sizes
    return {
        "embedding_w_q": [("word_embedding", word, words)],
        "encoder_w_q": [
            ("lstm_1/i2h", 4 * hidden, word),
            ("lstm_1/h2h", 4 * hidden, hidden),
            ("lstm_2/i2h", 4 * hidden, hidden),
            ("lstm_2/h2h", 4 * hidden, hidden),
            (UNUSED_PROJECTION.rstrip("/"), 1, hidden),
        ],
        "multimodal_w": [
            ("question_projection", common, 4 * hidden),
            ("image_projection", common, image),
            ("classifier", answers, common),
        ],
    }


def vqa_from_torch7() -> list[Rule]:
    """Returns the table of everything but the CNN, from the keys of :func:`split_vectors`."""
    lstm = ("lstm_1/i2h", "lstm_1/h2h", "lstm_2/i2h", "lstm_2/h2h")
    layers = ("word_embedding", *lstm, "question_projection", "image_projection", "classifier")
    return [rule for layer in layers for rule in weight_and_bias(f"{layer}/", layer, dense)]


def vqa_from_originals() -> list[Rule]:
    """Returns the whole table: VGG-19 up to ``fc7`` from Caffe's keys, the rest as :func:`vqa_from_torch7`."""
    cnn = [rule for rule in vgg_from_caffe(VGG19) if not is_not_needed(rule.source)]
    return [*inside("cnn", cnn), *vqa_from_torch7()]


def is_not_needed(key: str) -> bool:
    """Tells whether a key is of VGG-19's classifier or of the encoder's unused projection."""
    return key.startswith(("fc8/", UNUSED_PROJECTION))

"""Visual question answering: an LSTM encodes the question, a CNN the photo, and their product is classified.

The model of the original program ("deeper LSTM, normalised CNN") with any CNN of this package: VGG-19's
``relu7`` as published, EfficientNet-Lite0's pooled features, or a small VGG for 64x64 pictures.
Layers: ``cnn/...`` as the CNN names them, ``word_embedding``, ``image_features``, ``classifier``.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gradcam_jax.models.efficientnet_lite import efficientnet_lite0
from gradcam_jax.models.layers import FunctionLayer
from gradcam_jax.models.lstm import Lstm
from gradcam_jax.models.shape_cnn import ShapeCnn
from gradcam_jax.models.vgg import vgg19


def l2_normalize(features: jax.Array) -> jax.Array:
    r"""Scales feature vectors to length 1: :math:`f / \sqrt{\sum f^2 + 10^{-10}}` over the last axis."""
    return features * jax.lax.rsqrt(jnp.sum(features**2, axis=-1, keepdims=True) + 1e-10)


def identity(features: jax.Array) -> jax.Array:
    """Returns the features unchanged."""
    return features


class WordEmbedding(nn.Module):
    r"""Embeds words: :math:`e_t = \tanh(W_{w_t} + b)`, with dropout before the tanh in training.

    Attributes:
        words: Length of the vocabulary.
        features: Length of a word's vector.
        dropout: Fraction of the values dropped in training.
        kernel_init: Initialiser of the table.
        bias_init: Initialiser of the bias.
    """

    words: int
    features: int
    dropout: float
    kernel_init: jax.nn.initializers.Initializer
    bias_init: jax.nn.initializers.Initializer

    @nn.compact
    def __call__(self, ids: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps word indices ``(..., time)`` to vectors ``(..., time, features)``."""
        kernel = self.param("kernel", self.kernel_init, (self.words, self.features))
        bias = self.param("bias", self.bias_init, (self.features,))
        linear = jnp.asarray(kernel)[ids] + bias.reshape((1,) * ids.ndim + bias.shape)
        return jnp.tanh(_dropped(self, linear, self.dropout) if train else linear)


class VQA(nn.Module):
    r"""Answers a question about an image.

    With :math:`s = [c^1, h^1, c^2, h^2]`, the states of a two-layer LSTM after the last word, and f the
    CNN's features,

    .. math:: z = \tanh(W_q s + b_q) \odot \tanh(W_i f + b_i), \quad \mathrm{scores} = W_c z + b_c

    Attributes:
        cnn: Maps images to features, without a classifier.
        words: Length of the question's vocabulary.
        answers: Number of answers.
        embedding: Length of a word's vector.
        hidden: Length of each LSTM layer's cell and hidden vector.
        common: Length of the two vectors that are multiplied.
        normalize: Applied to the CNN's features; :func:`identity` changes nothing.
        dropout: Fraction dropped in training before the word's tanh, between the LSTM layers, before both
            projections and before the classifier.
        kernel_init: Initialiser of every matrix but the CNN's.
        bias_init: Initialiser of every bias but the CNN's.

    References:
        Antol et al., VQA, arXiv:1505.00468, section 4.2; VT-vision-lab/VQA_LSTM_CNN, ``eval.lua``.
    """

    cnn: Any
    words: int
    answers: int
    embedding: int = 200
    hidden: int = 512
    common: int = 1024
    normalize: Callable[[jax.Array], jax.Array] = l2_normalize
    dropout: float = 0.5
    kernel_init: jax.nn.initializers.Initializer = nn.initializers.lecun_normal()
    bias_init: jax.nn.initializers.Initializer = nn.initializers.zeros_init()

    def setup(self) -> None:
        """Declares the layers, named as in the checkpoints."""
        inits = self.kernel_init, self.bias_init
        self.word_embedding = WordEmbedding(self.words, self.embedding, self.dropout, *inits)
        self.lstm_1, self.lstm_2 = Lstm(self.hidden, *inits), Lstm(self.hidden, *inits)
        self.question_projection = self._dense(self.common)
        self.image_projection = self._dense(self.common)
        self.classifier = self._dense(self.answers)
        self.image_features = FunctionLayer(self.normalize)

    def __call__(self, image: jax.Array, ids: jax.Array, length: jax.Array, *, train: bool = False) -> jax.Array:
        """Scores every answer.

        Args:
            image: Preprocessed, ``(..., H, W, 3)`` float32.
            ids: Word indices, ``(..., time)`` int, left-aligned.
            length: Number of words, ``(...)`` int; indices past it change nothing.
            train: Whether to drop out; needs a ``dropout`` key.

        Returns:
            Scores before the softmax, ``(..., answers)``.
        """
        return self.answer(self.features(image), ids, length, train=train)

    def features(self, image: jax.Array) -> jax.Array:
        """Maps preprocessed images ``(..., H, W, 3)`` to the features that the head reads, ``(..., k)``."""
        return self.image_features(self.cnn(image))

    def answer(self, features: jax.Array, ids: jax.Array, length: jax.Array, *, train: bool = False) -> jax.Array:
        """Scores every answer given the image's features, ``(..., k)``: the head alone, for training."""
        return self.fuse(features, self.question(ids, length, train=train), train=train)

    def fuse(self, features: jax.Array, question: jax.Array, *, train: bool = False) -> jax.Array:
        """Scores every answer given the image's features and the question's vector, ``(..., 4 * hidden)``."""
        image_vector = jnp.tanh(self.image_projection(self._drop(features, train)))
        question_vector = jnp.tanh(self.question_projection(self._drop(question, train)))
        return self.classifier(self._drop(image_vector * question_vector, train))

    def question(self, ids: jax.Array, length: jax.Array, *, train: bool = False) -> jax.Array:
        """Encodes questions as the cells and hidden vectors of both layers, ``(..., 4 * hidden)``."""
        words = self.word_embedding(ids, train=train)
        first, outputs = self.lstm_1(words, length)
        second, _ = self.lstm_2(self._drop(outputs, train), length)
        return jnp.concatenate([*first, *second], axis=-1)

    def _drop(self, values: jax.Array, train: bool) -> jax.Array:
        return _dropped(self, values, self.dropout) if train else values

    def _dense(self, features: int) -> nn.Dense:
        return nn.Dense(features, kernel_init=self.kernel_init, bias_init=self.bias_init)


def _dropped(module: nn.Module, values: jax.Array, rate: float) -> jax.Array:
    # nn.Dropout would be a further layer among those that can be tapped.
    mask = jax.random.bernoulli(module.make_rng("dropout"), 1 - rate, values.shape)
    return jnp.where(mask, values / (1 - rate), jnp.zeros_like(values))


def vqa_vgg19(words: int = 12602, answers: int = 1000, **fields: Any) -> VQA:
    """Returns the published model: VGG-19's normalised ``relu7``, two LSTM layers of 512, 1000 answers."""
    return VQA(cnn=vgg19(classes=None), words=words, answers=answers, **fields)


def vqa_lite0(words: int, answers: int, **fields: Any) -> VQA:
    """Returns the small model: EfficientNet-Lite0's normalised pooled features, two LSTM layers of 128."""
    sizes: dict[str, Any] = {"embedding": 64, "hidden": 128, "common": 2304}
    return VQA(cnn=efficientnet_lite0(classes=None), words=words, answers=answers, **sizes | fields)


def vqa_small(words: int, answers: int, **fields: Any) -> VQA:
    """Returns a model for 64x64 pictures of shapes, whose CNN, a small VGG, is trained with the head."""
    sizes: dict[str, Any] = {"embedding": 32, "hidden": 64, "common": 128, "normalize": identity}
    return VQA(cnn=ShapeCnn(), words=words, answers=answers, **sizes | fields)

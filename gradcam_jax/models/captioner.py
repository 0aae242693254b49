"""A captioner with neuraltalk2's architecture: the image is the first step of the sentence.

The LSTM first reads the photo's features, mapped to the length of a word vector, then START and the words; after
each the decoder gives the log-probabilities of the next word. START and END are one token, the last, whose index
is the number of words V. Parameters: ``cnn`` (a net of its own), ``image_embedding``, ``word_embedding``, ``lstm``
with ``i2h`` and ``h2h``, ``decoder``; with evidence also ``image_gate``.
"""

import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from gradcam_jax.models.efficientnet_lite import efficientnet_lite0
from gradcam_jax.models.layers import Relu
from gradcam_jax.models.lstm import Lstm, LstmState
from gradcam_jax.models.vgg import vgg16
from gradcam_jax.models.word_scores import WordScores, word_scores

MAX_WORDS = 16
"""The longest caption, as in neuraltalk2's training."""


class WritingState(NamedTuple):
    """What the next word depends on: the LSTM's state, and the image's vector."""

    lstm: LstmState
    image_vector: jax.Array


class Captioner(nn.Module):
    r"""CNN, linear map, ReLU, one LSTM layer, log-softmax.

    .. math::
        v &= \max(W_e \, \mathrm{cnn}(x) + b_e, 0), \quad (c_0, h_0) = \mathrm{LSTM}(0, v) \\
        (c_t, h_t) &= \mathrm{LSTM}((c, h)_{t-1}, E_{w_{t-1}}), \quad
        \log p(\cdot \mid x, w_{<t}) = \log \mathrm{softmax}(W_d h_t + b_d)

    with :math:`w_0` = START. The image's own step has no output.

    With ``evidence`` n > 0, which neuraltalk2 does not have, the decoder also reads the first n values of v, as
    far as a gate lets them: :math:`W_d [h_t, \sigma(W_g h_t + b_g) \, v_{1 \dots n}] + b_d`. A noun's score is
    then nearly linear in what the CNN saw of the thing.

    Attributes:
        cnn: Maps images ``(..., H, W, 3)`` to features ``(..., F)``.
        words: Number V of words, ``UNK`` included; the token V is START and END.
        embedding_size: Length of the image's and the words' vectors.
        hidden_size: Length of the LSTM's cell and hidden vector.
        dropout: Fraction of the hidden vector that training drops before the decoder.
        evidence: Values of the image's vector that the decoder reads, from the first; at most ``embedding_size``.

    References:
        karpathy/neuraltalk2, ``misc/LanguageModel.lua``; Vinyals et al., Show and Tell, arXiv:1411.4555.
    """

    cnn: nn.Module
    words: int
    embedding_size: int = 512
    hidden_size: int = 512
    dropout: float = 0.5
    evidence: int = 0

    def setup(self) -> None:
        """Declares the layers."""
        self.image_embedding = nn.Dense(self.embedding_size)
        self.image_relu = Relu()
        self.word_embedding = nn.Embed(self.words + 1, self.embedding_size)
        self.lstm = Lstm(self.hidden_size)
        self.decoder_dropout = nn.Dropout(self.dropout)
        self.decoder = nn.Dense(self.words + 1)
        if self.evidence:
            self.image_gate = nn.Dense(1)

    def __call__(self, image: jax.Array, tokens: jax.Array) -> jax.Array:
        """Returns the log-probabilities of the next word after each prefix of a caption.

        Args:
            image: Preprocessed, ``(..., H, W, 3)``.
            tokens: The captions' words, ``(..., T)`` int; padding does not change the rows before it.

        Returns:
            Log-probabilities ``(..., T + 1, V + 1)``: row t, from 0, is for the word after the first t.
        """
        return self.continuations(self.image_vector(image), tokens)

    def image_vector(self, image: jax.Array) -> jax.Array:
        """Returns the LSTM's first input, ``(..., embedding_size)``, non-negative."""
        return self.embed_features(self.cnn(image))

    def embed_features(self, features: jax.Array) -> jax.Array:
        """Maps the CNN's features ``(..., F)`` to the length of a word vector."""
        return self.image_relu(self.image_embedding(features))

    def continuations(self, image_vector: jax.Array, tokens: jax.Array, *, train: bool = False) -> jax.Array:
        """Computes ``__call__`` from the image's vector; ``train`` needs the PRNG stream ``dropout``."""
        hidden = self._hidden(image_vector, self._with_start(tokens))
        hidden = self.decoder_dropout(hidden, deterministic=not train)
        return jax.nn.log_softmax(self.decoder(self._with_evidence(hidden, image_vector[..., jnp.newaxis, :])))

    def read_words(self, image_vector: jax.Array, tokens: jax.Array, temperature: float = 1.0) -> WordScores:
        """Returns each word's log-probability after the words before it, and its score at a temperature.

        The log-probabilities are those of :meth:`continuations` at the words; the gradients of many words cost
        little more than of one (:mod:`gradcam_jax.models.word_scores`).

        Args:
            image_vector: The LSTM's first input, ``(..., embedding_size)``.
            tokens: The caption's words, ``(..., T)`` int.
            temperature: See :func:`gradcam_jax.models.word_scores.word_scores`.
        """
        hidden = self._hidden(image_vector, self._with_start(tokens)[..., :-1])
        decoder = self.decoder.variables["params"]
        hidden = self._with_evidence(hidden, image_vector[..., jnp.newaxis, :])
        return word_scores(hidden, decoder["kernel"], decoder["bias"], tokens, temperature)

    def read_word(
        self,
        image_vector: jax.Array,
        tokens: jax.Array,
        place: jax.Array,
        temperature: float = 1.0,
        *,
        evidence: jax.Array | None = None,
    ) -> jax.Array:
        """Returns the score of one word of each caption, as :meth:`read_words` has it, ``(...)``.

        Args:
            image_vector: The LSTM's first input, ``(..., embedding_size)``.
            tokens: The captions' words, ``(..., T)`` int.
            place: The word, ``(...)`` int, from 0.
            temperature: See :func:`gradcam_jax.models.word_scores.word_scores`.
            evidence: The image's vector once more, which the decoder then reads instead: so that the derivatives
                through the LSTM and through the evidence are two.
        """
        hidden = self._hidden(image_vector, self._with_start(tokens)[..., :-1])
        at_word = jnp.take_along_axis(hidden, place[..., jnp.newaxis, jnp.newaxis], axis=-2)[..., 0, :]
        words = jnp.take_along_axis(tokens, place[..., jnp.newaxis], axis=-1)
        logits = self.decoder(self._with_evidence(at_word, image_vector if evidence is None else evidence))
        if math.isfinite(temperature):
            logits = temperature * jax.nn.log_softmax(logits / temperature)
        return jnp.take_along_axis(logits, words, axis=-1)[..., 0]

    def begin(self, image_vector: jax.Array) -> WritingState:
        """Returns the state after the image's step, from which :meth:`advance` continues."""
        zeros = self.lstm.initial_state(image_vector.shape[:-1], image_vector.dtype)
        return WritingState(self.lstm.step(zeros, image_vector), image_vector)

    def advance(self, state: WritingState, tokens: jax.Array) -> tuple[WritingState, jax.Array]:
        """Reads one token ``(...)``; returns the state and the next word's log-probabilities, ``(..., V + 1)``."""
        lstm = self.lstm.step(state.lstm, self.word_embedding(tokens))
        log_probs = jax.nn.log_softmax(self.decoder(self._with_evidence(lstm.hidden, state.image_vector)))
        return WritingState(lstm, state.image_vector), log_probs

    def _hidden(self, image_vector: jax.Array, inputs: jax.Array) -> jax.Array:
        vectors = self.word_embedding(inputs)
        lengths = jnp.full(inputs.shape[:-1], inputs.shape[-1])
        return self.lstm(vectors, lengths, self.begin(image_vector).lstm)[1]

    def _with_evidence(self, hidden: jax.Array, image_vector: jax.Array) -> jax.Array:
        if not self.evidence:
            return hidden
        gated = nn.sigmoid(self.image_gate(hidden)) * image_vector[..., : self.evidence]
        return jnp.concatenate([hidden, gated], axis=-1)

    def _with_start(self, tokens: jax.Array) -> jax.Array:
        start = jnp.full((*tokens.shape[:-1], 1), self.words, tokens.dtype)
        return jnp.concatenate([start, tokens], axis=-1)


def neuraltalk2(words: int = 9567, **fields: Any) -> Captioner:
    """Returns karpathy/neuraltalk2's captioner on VGG-16 to ``relu7``; its release has 9,567 words."""
    return Captioner(cnn=vgg16(classes=None), words=words, **fields)


def captioner_lite0(words: int, **fields: Any) -> Captioner:
    """Returns the bundled captioner: EfficientNet-Lite0 to ``pool``, any image size."""
    return Captioner(cnn=efficientnet_lite0(classes=None), words=words, **fields)

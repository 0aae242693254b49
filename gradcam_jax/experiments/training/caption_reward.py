r"""Teaches a captioner by what its captions score: self-critical training.

The likelihood of people's captions is not what captions are judged by. So captions w are drawn from the captioner,
S of a photo, and those that score higher (CIDEr, against the photo's captions) than the others drawn of it become
more likely:

.. math:: -\frac{1}{N} \sum_s \Big( r(w^s) - \frac{1}{S-1} \sum_{s' \ne s} r(w^{s'}) \Big)
    \sum_t \log p(w^s_t \mid x, w^s_{<t})

with N the number of words that were drawn. Its gradient is that of the mean score.

References:
    Rennie et al., Self-critical Sequence Training, arXiv:1612.00563; Luo, A Better Variant of Self-Critical
    Sequence Training, arXiv:2003.09971 (the mean of the others as the baseline).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.experiments.metrics.captions import CiderReward
from gradcam_jax.experiments.training.caption_head import spoken_log_probs
from gradcam_jax.models.captioner import MAX_WORDS, Captioner
from gradcam_jax.text.captions import decode_tokens
from gradcam_jax.text.vocabulary import Vocabulary

PHOTOS = 32
"""Photos of a batch whose captions are scored."""

DRAWN = 5
"""Captions drawn of each."""

_ENDS = "<end>"  # scored as a word, or the best caption would stop in the middle


class Rewards:
    """Draws photos for a batch, and scores captions of them."""

    def __init__(
        self,
        features: np.ndarray,
        logits: np.ndarray,
        references: Sequence[Sequence[str]],
        vocabulary: Vocabulary,
    ) -> None:
        """Takes photos' features ``(photos, F)``, class logits, captions as they are compared, the words."""
        self._features, self._logits, self._vocabulary = features, logits, vocabulary
        self._cider = CiderReward([[f"{text} {_ENDS}" for text in texts] for texts in references])

    def draw(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Returns :data:`PHOTOS` photos: ``photo (photos,)``, ``features (photos, F)``, ``logits``."""
        photos = rng.integers(len(self._features), size=PHOTOS, dtype=np.int32)
        return {"photo": photos, "features": self._features[photos], "logits": self._logits[photos]}

    def score(self, tokens: np.ndarray, photos: np.ndarray) -> np.ndarray:
        """Returns the CIDEr of captions ``(n, T)`` of photos ``(n,)``, from 0 to 10, ``(n,)`` float32."""
        tokens = np.asarray(tokens)
        ended = np.any(tokens == len(self._vocabulary), axis=-1)
        texts = [
            decode_tokens(row, self._vocabulary) + (f" {_ENDS}" if end else "")
            for row, end in zip(tokens, ended, strict=True)
        ]
        return self._cider(texts, np.asarray(photos).tolist())


def reward_loss(
    model: Captioner,
    params: Mapping[str, Any],
    image_vector: Callable[[jax.Array, jax.Array], jax.Array],
    batch: Mapping[str, jax.Array],
    score: Callable[[np.ndarray, np.ndarray], np.ndarray],
    key: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Returns what makes captions of a high score more likely, and the mean score of those drawn.

    Args:
        model: The captioner.
        params: Its parameters, those of the words, the LSTM and the decoder.
        image_vector: From photos' features and class logits to the LSTM's first input.
        batch: What :meth:`Rewards.draw` returns.
        score: :meth:`Rewards.score`; it is called outside the compiled step.
        key: Draws the captions.
    """
    photos = jnp.repeat(batch["photo"], DRAWN, axis=0)
    vector = image_vector(*(jnp.repeat(batch[name], DRAWN, axis=0) for name in ("features", "logits")))
    tokens = jax.lax.stop_gradient(drawn_captions(model, params, vector, key))
    scores = jax.pure_callback(score, jax.ShapeDtypeStruct(photos.shape, jnp.float32), tokens, photos)
    of_photo = scores.reshape(-1, DRAWN)
    others = (jnp.sum(of_photo, axis=1, keepdims=True) - of_photo) / (DRAWN - 1)
    log_probs: Any = model.apply({"params": params}, vector, tokens, method="continuations")
    drawn = drawn_steps(tokens, model.words)
    spoken = spoken_log_probs(log_probs, tokens, model.words)[:, :-1] * drawn
    better = (of_photo - others).reshape(-1, 1)
    return -jnp.sum(better * spoken) / jnp.sum(drawn), jnp.mean(scores)


def drawn_captions(model: Captioner, params: Mapping[str, Any], vector: jax.Array, key: jax.Array) -> jax.Array:
    """Draws one caption for each image's vector ``(n, E)`` from the model's own probabilities.

    Returns:
        ``(n, MAX_WORDS)`` int32, END from the caption's end on.
    """
    variables, rows = {"params": params}, vector.shape[0]
    ends = jnp.full(rows, model.words, jnp.int32)

    def extend(before: Any, key: jax.Array) -> tuple[Any, jax.Array]:
        state, token, ended = before
        advanced: Any = model.apply(variables, state, token, method="advance")
        state, log_probs = advanced
        token = jnp.where(ended, ends, jax.random.categorical(key, log_probs).astype(jnp.int32))
        return (state, token, ended | (token == model.words)), token

    begun: Any = model.apply(variables, vector, method="begin")
    start = begun, ends, jnp.zeros(rows, bool)
    return jax.lax.scan(extend, start, jax.random.split(key, MAX_WORDS))[1].T


def drawn_steps(tokens: jax.Array, end: int) -> jax.Array:
    """Marks what was drawn of captions ``(n, T)``: their words, and the first END, ``(n, T)`` float32."""
    before = jnp.cumsum(tokens == end, axis=-1) - (tokens == end)
    return (before == 0).astype(jnp.float32)

"""Trains the captioner's head on a frozen CNN's features, and folds what helped training into the plain model.

Two things make a small captioner look at the photo at all: standardised features, and an auxiliary loss that asks
the image's vector alone for the caption's words. A second branch, from the class logits, helps further. All of it
is linear up to the ReLU, so that after training one ``image_embedding`` on the CNN's features does the same, the
fixed evidence of what is there included (:mod:`gradcam_jax.experiments.training.evidence`).
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.experiments.data.captions import CaptionArrays
from gradcam_jax.experiments.training.caption_head import spoken_log_probs
from gradcam_jax.experiments.training.caption_reward import Rewards, reward_loss
from gradcam_jax.experiments.training.evidence import Evidence
from gradcam_jax.experiments.training.located_nouns import Located, noun_maps, with_bounded_gradient
from gradcam_jax.experiments.training.loop import Loss, whole_batches
from gradcam_jax.models.captioner import MAX_WORDS, Captioner

_SMALLEST_VARIANCE = 1e-4  # of a feature: one that is always 0 is not divided by 0
_TRIMMED = (8, 10, 12, MAX_WORDS)  # the lengths that batches are padded to, each of which is compiled once
_SORTED_TOGETHER = 32  # batches


class Statistics(NamedTuple):
    """Mean and deviation of the training photos' features and logits, by which they are standardised."""

    feature_mean: np.ndarray
    feature_deviation: np.ndarray
    logit_mean: np.ndarray
    logit_deviation: np.ndarray


class HeadRegularization(NamedTuple):
    """What keeps a head from learning the captions without the photos; in training only."""

    feature_dropout: float = 0.3  # share of the standardised features hidden
    logit_dropout: float = 0.2
    label_smoothing: float = 0.05
    bag_weight: float = 0.3  # of the auxiliary loss
    location_bound: float = 0.5  # on the norm of the gradient of the term for the nouns' maps; 0 leaves it out
    reward_weight: float = 16.0  # of what drawn captions score, where they are scored
    location_temperature: float = 1.0  # of the nouns' scores: see gradcam_jax.models.word_scores
    lstm_weight: float = 1.0  # of the share of these maps that comes through the LSTM, where there is evidence


NEURALTALK2_HEAD = HeadRegularization(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
"""neuraltalk2 has none of it."""


class ImageBranches(nn.Module):
    """The image's vector, from standardised features and class logits, and the logits of its caption's words."""

    size: int
    words: int
    regularization: HeadRegularization
    evidence: Evidence | None = None

    def setup(self) -> None:
        """Declares the branches and the auxiliary decoder."""
        learnt = self.size - (0 if self.evidence is None else len(self.evidence.bias))
        self.from_features = nn.Dense(learnt)
        self.from_logits = nn.Dense(learnt, use_bias=False)
        self.feature_dropout = nn.Dropout(self.regularization.feature_dropout, deterministic=False)
        self.logit_dropout = nn.Dropout(self.regularization.logit_dropout, deterministic=False)
        self.bag = nn.Dense(self.words)

    def __call__(self, features: jax.Array, logits: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Maps standardised ``(..., F)`` and ``(..., classes)`` to the vector and the words' logits."""
        features = self.feature_dropout(features)
        vector = self.from_features(features) + self.from_logits(self.logit_dropout(logits))
        if self.evidence is not None:
            fixed = features @ self.evidence.kernel
            vector = jnp.concatenate(
                [fixed + self.evidence.bias.reshape((1,) * (fixed.ndim - 1) + (-1,)), vector], -1
            )
        vector = nn.relu(vector)
        return vector, self.bag(vector)


def statistics_of(features: np.ndarray, logits: np.ndarray) -> Statistics:
    """Returns the means and deviations of training features ``(photos, F)`` and logits ``(photos, classes)``."""

    def deviation(values: np.ndarray) -> np.ndarray:
        return np.sqrt(values.var(axis=0) + _SMALLEST_VARIANCE)

    return Statistics(features.mean(axis=0), deviation(features), logits.mean(axis=0), deviation(logits))


def initial_params(
    model: Captioner,
    statistics: Statistics,
    regularization: HeadRegularization,
    key: jax.Array,
    evidence: Evidence | None = None,
) -> dict[str, Any]:
    """Returns the parameters to train: ``branches`` and ``captioner`` (without CNN and image embedding).

    Evidence starts with a weight of 1 on each word that names its kind; it has none on others.
    """
    branches = _branches(model, regularization, evidence)
    features, logits = jnp.asarray(statistics.feature_mean), jnp.asarray(statistics.logit_mean)
    branch_key, dropout_key = jax.random.split(key)
    vector = jnp.zeros(model.embedding_size)
    tokens = jnp.zeros(1, jnp.int32)
    captioner: Any = model.init(key, vector, tokens, method="continuations")["params"]
    if evidence is not None:
        decoder = captioner["decoder"]
        kernel = jnp.concatenate([decoder["kernel"][: model.hidden_size], evidence.names])
        captioner = {**captioner, "decoder": {**decoder, "kernel": kernel}}
    return {
        "branches": branches.init({"params": branch_key, "dropout": dropout_key}, features, logits)["params"],
        "captioner": captioner,
    }


def caption_loss(
    model: Captioner,
    statistics: Statistics,
    regularization: HeadRegularization,
    classifier: Mapping[str, np.ndarray] | None = None,
    rewards: Rewards | None = None,
    evidence: Evidence | None = None,
) -> Loss:
    """Returns the loss of a batch: what :func:`gradcam_jax.experiments.training.loop.train` takes.

    The batch holds ``features (n, F)``, ``logits (n, classes)``, ``tokens (n, T)`` and ``lengths (n,)``. The loss
    is the mean cross-entropy of the words and of END, plus the auxiliary loss: the mean cross-entropy of the
    caption's words under one softmax from the image's vector. Where the batch holds ``located`` nouns, how far
    their maps lie beside their objects is added, and how much of them comes through the LSTM; the logits of their
    views come from the ``classifier``, the CNN's last layer. Where it holds ``rewarded`` photos, captions
    drawn of them are scored by ``rewards``.
    """
    branches = _branches(model, regularization, evidence)
    s = jax.tree.map(jnp.asarray, statistics)

    def embed(params: Any, features: jax.Array, logits: jax.Array, **arguments: Any) -> Any:
        features = (features - s.feature_mean[jnp.newaxis]) / s.feature_deviation[jnp.newaxis]
        logits = (logits - s.logit_mean[jnp.newaxis]) / s.logit_deviation[jnp.newaxis]
        return branches.apply({"params": params["branches"]}, features, logits, **arguments)

    def image_vector(params: Any, key: jax.Array, features: jax.Array) -> jax.Array:
        assert classifier is not None, "located nouns need the CNN's last layer"
        logits = features @ classifier["kernel"] + classifier["bias"][np.newaxis]
        return embed(params, features, logits, rngs={"dropout": key})[0]

    def loss(params: Any, batch: Any, key: jax.Array) -> tuple[jax.Array, Mapping[str, jax.Array]]:
        image_key, word_key = jax.random.split(key)
        captioner = _naming(params["captioner"], evidence)
        vector, bag = embed(params, batch["features"], batch["logits"], rngs={"dropout": image_key})
        log_probs: Any = model.apply(
            {"params": captioner},
            vector,
            batch["tokens"],
            train=True,
            method="continuations",
            rngs={"dropout": word_key},
        )
        counted = word_mask(batch["lengths"], log_probs.shape[-2])
        spoken = spoken_log_probs(log_probs, batch["tokens"], model.words)
        words = -jnp.sum(spoken * counted) / jnp.sum(counted)
        smooth = -jnp.sum(jnp.mean(log_probs, axis=-1) * counted) / jnp.sum(counted)
        bag_words = jnp.take_along_axis(jax.nn.log_softmax(bag), batch["tokens"], axis=-1)
        steps = counted[:, 1:]  # a caption of n words has n + 1 steps, so that these are its n words
        auxiliary = -jnp.sum(bag_words * steps) / jnp.sum(steps)
        total = (1 - regularization.label_smoothing) * words + regularization.label_smoothing * smooth
        total, metrics = total + regularization.bag_weight * auxiliary, {"words": words, "bag": auxiliary}
        if "located" in batch:
            bounded: Any = with_bounded_gradient(params, regularization.location_bound)
            seen_by = functools.partial(image_vector, bounded, jax.random.fold_in(key, 1))
            head, temperature = _naming(bounded["captioner"], evidence), regularization.location_temperature
            maps = noun_maps(model, head, seen_by, batch["located"], temperature)
            metrics |= maps._asdict()
            total = total + maps.beside + regularization.lstm_weight * maps.through_lstm
        if "rewarded" in batch:
            assert rewards is not None, "rewarded photos need their captions"
            seen_key, drawn_key = jax.random.split(jax.random.fold_in(key, 2))

            def seen(features: jax.Array, logits: jax.Array) -> jax.Array:
                return embed(params, features, logits, rngs={"dropout": seen_key})[0]

            worse, metrics["reward"] = reward_loss(
                model, captioner, seen, batch["rewarded"], rewards.score, drawn_key
            )
            total = total + regularization.reward_weight * worse
        return total, metrics

    return loss


def folded(
    params: Mapping[str, Any],
    statistics: Statistics,
    classifier: Mapping[str, np.ndarray],
    evidence: Evidence | None = None,
) -> dict[str, Any]:
    r"""Returns the plain captioner's parameters, its ``image_embedding`` on the CNN's features alone.

    .. math:: K = \mathrm{diag}(1/\sigma) K_f + W \, \mathrm{diag}(1/\sigma_l) K_l, \quad
        b = b_f - (\mu/\sigma) K_f + ((c - \mu_l)/\sigma_l) K_l

    for class logits :math:`x W + c` of features x, W and c being the CNN's last layer. Evidence comes first.
    """
    branches = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["branches"])
    s = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), statistics)
    of_features = branches["from_features"]["kernel"] / s.feature_deviation[:, np.newaxis]
    of_logits = branches["from_logits"]["kernel"] / s.logit_deviation[:, np.newaxis]
    kernel = of_features + np.asarray(classifier["kernel"], np.float64) @ of_logits
    bias = branches["from_features"]["bias"] - s.feature_mean @ of_features
    bias = bias + (np.asarray(classifier["bias"], np.float64) - s.logit_mean) @ of_logits
    if evidence is not None:
        of_evidence = evidence.kernel / s.feature_deviation[:, np.newaxis]
        kernel = np.concatenate([of_evidence, kernel], axis=1)
        bias = np.concatenate([evidence.bias - s.feature_mean @ of_evidence, bias])
    embedding = {"kernel": kernel.astype(np.float32), "bias": bias.astype(np.float32)}
    return {**_naming(params["captioner"], evidence), "image_embedding": embedding}


def caption_batches(
    features: np.ndarray,
    logits: np.ndarray,
    captions: CaptionArrays,
    *,
    batch_size: int,
    seed: int,
    located: Located | None = None,
    rewards: Rewards | None = None,
    rewarded_from: int = 0,
) -> Callable[[int], dict[str, Any]]:
    """Returns ``batch_at(step)``: every caption once an epoch, in an order that the epoch's number decides.

    Captions of similar length share a batch, so that a third less padding is computed; an epoch's incomplete last
    batch is left out. Located nouns, if there are any, are drawn for each step, and from some step on photos whose
    captions are scored.
    """
    batches = whole_batches(len(captions.photos), batch_size)
    order: dict[int, np.ndarray] = {}

    def batch_at(step: int) -> dict[str, np.ndarray]:
        epoch, place = divmod(step, batches)
        if epoch not in order:
            order.clear()
            order[epoch] = _epoch_order(captions.lengths, batch_size, np.random.default_rng((seed, epoch)))
        rows = order[epoch][place]
        views, lengths = captions.photos[rows], captions.lengths[rows]
        steps = next(steps for steps in _TRIMMED if steps >= lengths.max())
        batch: dict[str, Any] = {
            "features": features[views],
            "logits": logits[views],
            "tokens": captions.tokens[rows, :steps],
            "lengths": lengths,
        }
        if located is not None:
            batch["located"] = located.draw(np.random.default_rng((seed, epoch, place)))
        if rewards is not None and step >= rewarded_from:
            batch["rewarded"] = rewards.draw(np.random.default_rng((seed, epoch, place, 1)))
        return batch

    return batch_at


def _epoch_order(lengths: np.ndarray, batch_size: int, rng: np.random.Generator) -> np.ndarray:
    """Deals captions into ``(batches, batch_size)``: by chance, then by length within every few batches."""
    count = len(lengths) // batch_size * batch_size
    dealt = rng.permutation(len(lengths))[:count]
    neighbours = _SORTED_TOGETHER * batch_size
    by_length = [
        part[np.argsort(lengths[part], kind="stable")]
        for part in (dealt[start : start + neighbours] for start in range(0, count, neighbours))
    ]
    return rng.permutation(np.concatenate(by_length).reshape(-1, batch_size))


def word_mask(lengths: jax.Array, steps: int) -> jax.Array:
    """Marks the steps that count, ``(n, steps)`` float32: one a word, and one for END."""
    return (jnp.arange(steps)[jnp.newaxis] <= lengths[:, jnp.newaxis]).astype(jnp.float32)


def _branches(
    model: Captioner, regularization: HeadRegularization, evidence: Evidence | None = None
) -> ImageBranches:
    return ImageBranches(model.embedding_size, model.words + 1, regularization, evidence)


def _naming(captioner: Mapping[str, Any], evidence: Evidence | None) -> dict[str, Any]:
    """Returns a captioner's parameters, of each kind's evidence only what speaks for the words that name it."""
    if evidence is None:
        return dict(captioner)
    kernel = captioner["decoder"]["kernel"]
    rows = kernel.shape[0] - len(evidence.names)
    named = jnp.concatenate([kernel[:rows], kernel[rows:] * evidence.names])
    return {**captioner, "decoder": {**captioner["decoder"], "kernel": named}}

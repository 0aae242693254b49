r"""What a captioner's decoder sees of each kind of object itself: a direction in the CNN's features that points.

An LSTM between the photo and a word bends the word's map: the map of a head that soon points at every training
view is often beside the thing on another photo. A direction for each kind, the linear discriminant between
positions on its objects and beside them, has too few numbers to learn views by heart. With :math:`\mu^+_k` and
:math:`\mu^-_k` the mean features of positions on and beside the objects of kind k, in the views that show one,
:math:`\Sigma` the covariance of all positions and :math:`\sigma^2` its mean variance,

.. math:: d_k = (\Sigma + \sigma^2 I)^{-1} (\mu^+_k - \mu^-_k)

and the difference of a kind of few views is drawn towards the mean one of all. The photo's features along these
directions are the first values of its vector and stay as they are; the decoder learns how much each adds to the
words that name its kind, and when.

References:
    Friedman, Regularized Discriminant Analysis, Journal of the American Statistical Association 84, 1989.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from gradcam_jax.experiments.data.located_captions import Region, nouns_of
from gradcam_jax.text.vocabulary import Vocabulary

_AS_MANY = 10  # views that the mean difference counts as much as
_POSITIONS = 50_000  # that the covariance is taken over, at most
_ACTIVE = 2.0  # a value's mean, in its deviations: it is seldom under 0, where a ReLU has no gradient


class Evidence(NamedTuple):
    """Fixed values of an image's vector, one a kind of object, and the words that they speak for.

    Attributes:
        kernel: From standardised features to the values, ``(F, kinds)`` float32.
        bias: ``(kinds,)`` float32.
        names: 1 where a token names a kind, else 0, ``(kinds, words + 1)`` float32.
    """

    kernel: np.ndarray
    bias: np.ndarray
    names: np.ndarray


def evidence_of(
    directions: np.ndarray,
    features: np.ndarray,
    deviation: np.ndarray,
    kinds: Sequence[str],
    vocabulary: Vocabulary,
) -> Evidence:
    """Returns the values along the kinds' directions, brought to mean 2 and deviation 1 over training photos.

    Args:
        directions: ``(kinds, F)``.
        features: Of the training photos, ``(photos, F)``.
        deviation: By which features are standardised, ``(F,)``.
        kinds: Words for the kinds of objects.
        vocabulary: The captions' words.
    """
    names = np.zeros((len(kinds), len(vocabulary) + 1), np.float32)
    for row, kind in enumerate(kinds):
        for noun in nouns_of(kind, 2):
            if noun.split()[-1] in vocabulary:
                names[row, vocabulary.index(noun.split()[-1])] = 1
    spread = np.std(features @ directions.T, axis=0)
    kernel = (deviation[:, np.newaxis] * directions.T / spread).astype(np.float32)
    return Evidence(kernel, np.full(len(kinds), _ACTIVE, np.float32), names)


def discriminants(activations: np.ndarray, regions: Iterable[Region], kinds: int) -> np.ndarray:
    """Returns each kind's direction, ``(kinds, F)`` float32.

    Args:
        activations: Of the views at every position, ``(views, positions, F)``.
        regions: Where objects lie; those that cover all of a view, or none, are left out.
        kinds: How many there are.
    """
    size = activations.shape[-1]
    sums, counts = np.zeros((kinds, size)), np.zeros(kinds)
    for view, kind, inside in regions:
        if 0 < inside.mean() < 1:
            features = activations[view].astype(np.float32)
            sums[kind] += features[inside].mean(axis=0) - features[~inside].mean(axis=0)
            counts[kind] += 1
    mean = sums.sum(axis=0) / max(counts.sum(), 1)
    differences = (sums + _AS_MANY * mean) / (counts[:, np.newaxis] + _AS_MANY)
    flat = activations.reshape(-1, size)
    covariance = np.cov(flat[:: -(-len(flat) // _POSITIONS)].astype(np.float64), rowvar=False)
    shrunk = covariance + np.trace(covariance) / size * np.eye(size)
    return np.linalg.solve(shrunk, differences.T).T.astype(np.float32)

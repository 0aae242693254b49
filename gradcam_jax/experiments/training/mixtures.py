"""Examples of two photos at once: a VQA head learns to share its answer between two objects that are both there.

The CNN's features are means over positions, so those of two photos side by side are nearly the mixture of both, in
proportion to their areas. Mixing costs nothing, and shows a head many more pairs, in many more proportions, than
collages do.

References:
    Zhang et al., mixup, arXiv:1710.09412, which mixes the targets in the same proportion; here both are right.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gradcam_jax.experiments.data.questions import CATEGORIES, FALSE_PREMISE, NONE, WHAT_IS_THIS
from gradcam_jax.text.vocabulary import Vocabulary

LEAST = 0.1
"""The smaller photo's share of a mixture, at least."""

LEAST_BESIDE_NOTHING = 0.4
"""The share of a photo with what is asked about, at least, where the other has nothing of it."""

MIXED_KINDS = (*(f"what {category}" for category in CATEGORIES), FALSE_PREMISE, WHAT_IS_THIS)
"""Kinds of questions whose answers about a mixture follow from those about its photos."""


class Mixtures(NamedTuple):
    """A batch's examples, some of them mixed.

    Attributes:
        features: ``(n, k)`` float32.
        targets: ``(n, answers)`` float32.
        mixed: Which are mixtures, ``(n,)`` bool.
    """

    features: np.ndarray
    targets: np.ndarray
    mixed: np.ndarray


def mix(
    features: np.ndarray,
    targets: np.ndarray,
    kinds: Sequence[str],
    partners: np.ndarray,
    answers: Vocabulary,
    *,
    rng: np.random.Generator,
    share: float,
) -> Mixtures:
    """Mixes some examples with others that have the same question.

    What is right about either photo is right about the mixture; "none" only if it is right about both.

    Args:
        features: ``(n, k)`` float32.
        targets: How right each answer is, ``(n, answers)`` float32.
        kinds: Of each example's question.
        partners: The example that each may be mixed with, ``(n,)``, itself for none.
        answers: The answers.
        rng: Draws which are mixed, and their proportions.
        share: Of the examples that can be mixed, how many are.
    """
    count = len(features)
    fits, nothing = np.isin(kinds, MIXED_KINDS), np.array(kinds) == FALSE_PREMISE
    mixed = fits & fits[partners] & (partners != np.arange(count)) & (rng.random(count) < share)
    least = np.where(~nothing & nothing[partners], LEAST_BESIDE_NOTHING, LEAST)
    most = 1 - np.where(nothing & ~nothing[partners], LEAST_BESIDE_NOTHING, LEAST)
    own = np.where(mixed, rng.uniform(least, most), 1).astype(np.float32)[:, np.newaxis]
    right = (targets > 0) | (targets[partners] > 0)
    right[:, answers.index(NONE)] &= right.sum(axis=1) == 1
    shared = right / np.maximum(right.sum(axis=1, keepdims=True), 1)
    return Mixtures(
        own * features + (1 - own) * features[partners],
        np.where(mixed[:, np.newaxis], shared, targets).astype(np.float32),
        mixed,
    )

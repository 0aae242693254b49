"""How sure a mean over photos is: bootstrap confidence intervals."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from gradcam_jax.errors import InputError

RESAMPLES = 10_000


class Interval(NamedTuple):
    """A mean with its confidence interval.

    Attributes:
        mean: Of all values.
        low: Where the interval begins.
        high: Where it ends.
        count: Number of values.
    """

    mean: float
    low: float
    high: float
    count: int


def bootstrap_mean(
    values: Sequence[float] | np.ndarray,
    groups: Sequence[Hashable] | None = None,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Returns the mean of some values and its percentile bootstrap interval.

    Whole groups are drawn, with replacement: the values of one photo are not independent.

    Args:
        values: One a case.
        groups: The group that each value belongs to, such as its photo; each its own unless given.
        level: Share of the resampled means that lie inside.
        resamples: How often as many groups as there are are drawn.
        seed: Of the draws.

    Returns:
        The interval.

    Raises:
        InputError: If there are no values, or they and the groups differ in number.

    Example:
        >>> interval = bootstrap_mean([0, 1, 1, 1], resamples=1000)
        >>> interval.mean, interval.low, interval.high, interval.count
        (0.75, 0.25, 1.0, 4)

    References:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    values = np.asarray(values, np.float64)
    groups = range(len(values)) if groups is None else groups
    if not len(values) or len(groups) != len(values):
        raise InputError(f"Expected values and a group for each, got {len(values)} and {len(groups)}.")
    numbers: dict[Hashable, int] = {}
    places = np.array([numbers.setdefault(group, len(numbers)) for group in groups])
    sums, counts = np.bincount(places, values), np.bincount(places)
    generator = np.random.default_rng(seed)
    means = []
    for start in range(0, resamples, 1000):
        drawn = generator.multinomial(
            len(numbers), np.full(len(numbers), 1 / len(numbers)), min(1000, resamples - start)
        )
        means.append((drawn @ sums) / (drawn @ counts))
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high), len(values))

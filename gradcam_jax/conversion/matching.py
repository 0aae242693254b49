"""Finds a network's arrays under other names: behind a prefix, and with a last layer that was renamed or wrapped.

What people bring was trained further: ``torch.nn.DataParallel`` puts ``module.`` before every name,
``torch.compile`` ``_orig_mod.``, Lightning ``model.``; Caffe's users rename ``fc8`` to ``fc8_flickr``, PyTorch's
put a head of their own in its place.
"""

import collections
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gradcam_jax.conversion.rules import Rule
from gradcam_jax.errors import CheckpointError

_SEPARATOR = re.compile("[./]")
_BIAS = re.compile(r"(.*[./])bias")
_WEIGHT = re.compile(r"(.*[./])weight")


class Matched(NamedTuple):
    """A file's arrays under the names of a table.

    Attributes:
        arrays: Name -> array, as the table has it where that could be told.
        notes: What was done to the names, a line each.
        own_head: Whether the last layer has another name than in the table.
    """

    arrays: dict[str, np.ndarray]
    notes: tuple[str, ...]
    own_head: bool


def match_names(
    arrays: Mapping[str, np.ndarray],
    rules: Sequence[Rule],
    head: Collection[str],
    *,
    ignore: Callable[[str], bool] = lambda _: False,
) -> Matched:
    """Gives arrays the names that a table expects, where there is one way to.

    Args:
        arrays: A file's.
        rules: The table.
        head: Targets of the last layer, whose shapes go with the number of classes; empty: it keeps its name.
        ignore: Whether a source key is known and not needed.

    Returns:
        The arrays; what could not be told keeps its name, and is unexpected for :func:`convert`.

    Raises:
        CheckpointError: If the network stands in the file twice, or several layers could be its last.

    Example:
        >>> from gradcam_jax.conversion.rules import dense, weight_and_bias
        >>> rules = [*weight_and_bias("fc7/", "fc7", dense), *weight_and_bias("fc8/", "fc8", dense)]
        >>> names = ("module.fc7/weight", "module.fc7/bias", "module.fc8_own/weight", "module.fc8_own/bias")
        >>> arrays = dict(zip(names, (np.ones((3, 4)), np.ones(3), np.ones((2, 3)), np.ones(2)), strict=True))
        >>> matched = match_names(arrays, rules, {"params/fc8/kernel", "params/fc8/bias"})
        >>> list(matched.arrays), matched.own_head
        (['fc7/weight', 'fc7/bias', 'fc8/weight', 'fc8/bias'], True)
        >>> for note in matched.notes:
        ...     print(note)
        all names begin with 'module.', which is taken off
        the last layer is 'fc8_own', in the place of 'fc8'
    """
    body = {rule.source for rule in rules if rule.target not in head}
    prefix = _prefix(arrays, body)
    notes = []
    if prefix:
        inside = [name for name in arrays if name.startswith(prefix)]
        who = "all names begin" if len(inside) == len(arrays) else f"{len(inside)} of {len(arrays)} names begin"
        notes.append(f"{who} with {prefix!r}, which is taken off")
    plain = {name.removeprefix(prefix): array for name, array in arrays.items()}
    if len(plain) < len(arrays):
        raise CheckpointError(f"The file holds arrays of the same names with and without the prefix {prefix!r}.")
    sources = [rule.source for rule in rules if rule.target in head]
    stem = _head_stem(plain, sources, body, ignore)
    own_head = stem is not None
    if stem is not None:
        own = _stem_of(sources[0])
        plain = {_renamed(name, stem, own): array for name, array in plain.items()}
        notes.append(f"the last layer is {stem[:-1]!r}, in the place of {own[:-1]!r}")
    weight = next((name for name in sources if _WEIGHT.fullmatch(name)), "")
    for bias in (name for name in sources if _BIAS.fullmatch(name)):
        if weight in plain and bias not in plain:
            plain[bias] = np.zeros(plain[weight].shape[-2], np.float32)
            notes.append(f"the last layer has no bias; {bias!r} is 0")
    return Matched(plain, tuple(notes), own_head)


def _prefix(arrays: Mapping[str, np.ndarray], body: Collection[str]) -> str:
    """Returns what stands before the network's names: the prefix under which most of them are found."""
    votes = collections.Counter(prefix for name in arrays for prefix in _prefixes(name, body))
    most = max(votes.values(), default=0)
    best = [prefix for prefix, count in votes.items() if count == most]
    if len(best) > 1 and "" not in best:
        raise CheckpointError(
            f"The file holds the network {len(best)} times, under {' and '.join(map(repr, best))}: save one of "
            "them in a file of its own, and convert that."
        )
    return best[0] if best and "" not in best else ""


def _prefixes(name: str, body: Collection[str]) -> Iterator[str]:
    """Yields what stands before each end of a name that is one of the network's."""
    for place in (0, *(separator.end() for separator in _SEPARATOR.finditer(name))):
        if name[place:] in body:
            yield name[:place]


def _head_stem(
    arrays: Mapping[str, np.ndarray],
    sources: Sequence[str],
    body: Collection[str],
    ignore: Callable[[str], bool],
) -> str | None:
    """Returns how the names of the last layer begin, or None if it has the table's or cannot be told."""
    if not sources or any(_WEIGHT.fullmatch(name) and name in arrays for name in sources):
        return None
    if not all(name in arrays for name in body):
        return None  # another network, of which no layer is known to be the last
    others = [name for name in arrays if name not in body and name not in sources and not ignore(name)]
    layers = {stem: arrays[f"{stem}weight"] for name in others if (stem := _stem_of(name, _WEIGHT))}
    if not layers or any(_stem_of(name) not in layers for name in others):
        return None
    if len(layers) > 1 or next(iter(layers.values())).ndim < 2:
        listed = ", ".join(f"{stem[:-1]} {'x'.join(map(str, array.shape))}" for stem, array in layers.items())
        raise CheckpointError(
            f"Expected one layer in the place of the last, {_stem_of(sources[0])[:-1]!r}, got {len(layers)}: "
            f"{listed}. A network of other layers is a model of your own: write it in Flax, and name the function "
            "that returns it (explain.py --model MODULE:FUNCTION --checkpoint FILE)."
        )
    return next(iter(layers))


def _stem_of(name: str, *patterns: re.Pattern[str]) -> str:
    """Returns a name of a weight or a bias without that word, with its separator; empty for another name."""
    return next((match[1] for pattern in patterns or (_WEIGHT, _BIAS) if (match := pattern.fullmatch(name))), "")


def _renamed(name: str, stem: str, own: str) -> str:
    return own + name.removeprefix(stem) if _stem_of(name) == stem else name

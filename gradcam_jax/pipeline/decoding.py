"""From items to batches of pixels: decoded by processes, in order, never far ahead of what the devices take."""

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.images.decoder import FAILED, Decoded
from gradcam_jax.images.ring import Ring
from gradcam_jax.pipeline.decoders import Decoders
from gradcam_jax.pipeline.items import Item

AHEAD = 2
"""Batches that are decoded while the devices have others."""

_MOST = 16  # photos a request: fewer, and more time goes into asking

Encode = Callable[[Mapping[str, str]], Mapping[str, np.ndarray]]


class Batch(NamedTuple):
    """So many images as the devices take at once; those that failed have a row whose results count for nothing.

    Attributes:
        items: What the images are, at most as many as there are rows.
        decoded: One for each item.
        images: ``(rows, size, size, 3)`` uint8 or uint16: a part of the ring.
        arrays: What goes with the images, name -> ``(rows, ...)``; empty where no image could be decoded.
        place: Which of the ring's batches it is.
    """

    items: Sequence[Item]
    decoded: Sequence[Decoded]
    images: np.ndarray
    arrays: dict[str, np.ndarray]
    place: int


class _Begun(NamedTuple):
    items: list[Item]
    arrays: list[Mapping[str, np.ndarray]]
    errors: list[str]
    place: int
    answers: list[tuple[list[int], "Future[list[Decoded]]"]]


def decoded_batches(items: Iterable[Item], encode: Encode, decoders: Decoders, ring: Ring) -> Iterator[Batch]:
    """Yields batches in the items' order, all of the ring's number of rows: one compiled program serves all.

    A batch belongs to the caller until its place is given back to the ring.

    Args:
        items: What to decode; only as much is read as is about to be needed.
        encode: From what is asked about an image to the arrays that go with it; raises InputError for what is not
            there.
        decoders: The processes.
        ring: Where the pixels go; of more than ``AHEAD`` batches.

    Raises:
        InputError: If no process can decode. What is wrong with one image is in its batch.
    """
    begun: collections.deque[_Begun] = collections.deque()
    source = iter(items)
    while group := list(itertools.islice(source, ring.layout.rows)):
        begun.append(_begin(group, encode, decoders, ring))
        if len(begun) > AHEAD:
            yield _finish(begun.popleft(), ring)
    while begun:
        yield _finish(begun.popleft(), ring)


def _begin(items: list[Item], encode: Encode, decoders: Decoders, ring: Ring) -> _Begun:
    place = ring.take()
    arrays, errors = [], []
    for item in items:
        try:
            if item.problem:
                raise InputError(item.problem)
            arrays.append(encode(item.request))
            errors.append("")
        except InputError as error:
            arrays.append({})
            errors.append(str(error))
    rows = [row for row, error in enumerate(errors) if not error]
    share = min(max(ring.layout.rows // (2 * len(decoders)), 1), _MOST)
    answers = []
    for start in range(0, len(rows), share):
        part = rows[start : start + share]
        request = [(place, row, items[row].pixels or items[row].path) for row in part]
        answers.append((part, decoders.submit(request)))
    return _Begun(items, arrays, errors, place, answers)


def _finish(begun: _Begun, ring: Ring) -> Batch:
    decoded = [FAILED._replace(error=error) for error in begun.errors]
    for rows, answer in begun.answers:
        for row, photo in zip(rows, answer.result(), strict=True):
            decoded[row] = photo
    good = [row for row, photo in enumerate(decoded) if not photo.error]
    # A row without an image has another image's arrays, so that it is computed without a fault.
    filled = (
        [row if row in good_rows else good[-1] for row in range(ring.layout.rows)]
        if (good_rows := set(good))
        else []
    )
    names = begun.arrays[good[0]] if good else ()
    arrays = {name: np.stack([begun.arrays[row][name] for row in filled]) for name in names}
    return Batch(begun.items, decoded, ring.pixels[begun.place], arrays, begun.place)

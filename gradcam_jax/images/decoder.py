"""A process that decodes photos: no JAX, its own interpreter, so that any number of them work at once.

It is told :class:`Settings`, then asked for some photos at a time on its standard input, and answers on its
standard output. Pixels go into a :class:`gradcam_jax.images.ring.Ring`; the answers say the rest. It ends with its
input.
"""

import io
import os
import pickle
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from gradcam_jax.images.fast import decode_fast, resample_fast
from gradcam_jax.images.photos import decode_photo, read_file
from gradcam_jax.images.preprocessing import Photo, Preprocessing, as_integers, resample
from gradcam_jax.images.ring import Layout, Ring

Box = tuple[float, float, float, float]
Source = str | Callable[[], Any]
"""A file's path, or what returns a photo, uint8 RGB ``(H, W, 3)``."""


class Decoding(NamedTuple):
    """How photos are decoded: by Pillow and whole, unless something is gained at the price of other bytes.

    Attributes:
        fast: Whether the libraries of :mod:`gradcam_jax.images.fast` are used.
        scaled: Whether JPEGs far larger than needed are decoded at 1/2, 1/4 or 1/8 of their size.
    """

    fast: bool = False
    scaled: bool = False


EXACT = Decoding()
"""The pixels that one photo alone has."""


class Settings(NamedTuple):
    """What holds for all photos.

    Attributes:
        preprocessing: The model's.
        decoding: How they are decoded.
        keep_photo: Whether the photo itself is in the answer, to be drawn on.
        layout: The ring's; the network's images have its size and type.
        descriptor: The ring's.
    """

    preprocessing: Preprocessing
    decoding: Decoding
    keep_photo: bool
    layout: Layout
    descriptor: int


class Decoded(NamedTuple):
    """One photo, whose pixels are in the ring, or the reason why they are not.

    Attributes:
        box: The part of the photo that the network's image shows, ``(left, top, right, bottom)`` in pixels.
        photo: The photo, uint8 ``(H, W, 3)``, if it was to be kept.
        error: Why there are no pixels; empty if there are.
        waiting: Seconds that reading the file took.
    """

    box: Box
    photo: np.ndarray | None
    error: str
    waiting: float


class Answer(NamedTuple):
    """What is said of some photos.

    Attributes:
        photos: One for each.
        seconds: What they took.
        processor_seconds: That the processor worked on them.
    """

    photos: list[Decoded]
    seconds: float
    processor_seconds: float


FAILED = Decoded((0.0, 0.0, 0.0, 0.0), None, "", 0.0)


def decode(source: Source, settings: Settings, pixels: np.ndarray) -> Decoded:
    """Reads one photo; what is wrong with it is in the result, not raised.

    Args:
        source: Where it is.
        settings: What is made of it.
        pixels: Where the network's image goes, ``(size, size, 3)`` of the ring's type.
    """
    started = time.perf_counter()
    try:
        waiting, photo = 0.0, None
        if isinstance(source, str):
            content = read_file(source)
            waiting = time.perf_counter() - started
            least = 2 * settings.layout.size if settings.decoding.scaled else None
            if settings.decoding.fast:
                photo = decode_fast(content, source, at_least=least)
            else:
                photo = decode_photo(io.BytesIO(content), source, at_least=least)
        else:
            photo = np.asarray(source())
            waiting = time.perf_counter() - started
        return _fit(photo, settings, pixels)._replace(waiting=waiting)
    except Exception as error:  # One photo's: it is its line of the manifest.
        return FAILED._replace(error=str(error) or type(error).__name__)


def _fit(photo: Photo, settings: Settings, pixels: np.ndarray) -> Decoded:
    function = resample_fast if settings.decoding.fast else resample
    resized = settings.preprocessing.resize(photo, settings.layout.size, function)
    pixels[...] = as_integers(resized.image, pixels.dtype)
    return Decoded(resized.box, np.asarray(photo) if settings.keep_photo else None, "", 0.0)


def answer(request: Sequence[tuple[int, int, Source]], settings: Settings, ring: Ring) -> Answer:
    """Decodes some photos.

    Args:
        request: Batch and row in the ring, and where the photo is.
        settings: What is made of them.
        ring: Where the pixels go.
    """
    started, worked = time.perf_counter(), time.process_time()
    photos = [decode(source, settings, ring.pixels[batch, row]) for batch, row, source in request]
    return Answer(photos, time.perf_counter() - started, time.process_time() - worked)


def main() -> None:
    """Answers until the input ends. What a library prints goes to standard error, not among the answers."""
    requests: BinaryIO = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if sys.platform == "linux":  # what computes on the same cores must not wait for decoding
        os.setpriority(os.PRIO_PROCESS, 0, 10)
    try:
        settings: Settings = pickle.load(requests)
        ring, reply = Ring(settings.layout, settings.descriptor), "ready"
        while True:
            pickle.dump(reply, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
            reply = answer(pickle.load(requests), settings, ring)
    except (EOFError, BrokenPipeError):
        os._exit(0)  # whoever asked is gone: there is nothing to flush and nobody to tell

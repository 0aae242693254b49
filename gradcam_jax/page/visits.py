"""The photos of those who visit the page: in memory alone, for as long as the visit."""

import collections
import io
import secrets
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import PIL.Image

from gradcam_jax.errors import InputError
from gradcam_jax.images.photos import decode_photo

Value = TypeVar("Value")

_MEGA = 1_000_000
_LONGEST_NAME = 80


class ForgottenError(InputError):
    """What was asked about is no longer kept, or never was."""


class Limits(NamedTuple):
    """What is taken from a visitor, and for how long it is kept.

    Attributes:
        photo_bytes: Of a file.
        photo_pixels: Of a photo.
        idle_seconds: After which a photo that nobody asks about is forgotten.
        photos: Kept at once; the one that was asked about longest ago is forgotten for a new one.
        at_once: Explanations computed at once; the next ones wait.
        connections: Open at once; the next ones are told to come again.
    """

    photo_bytes: int = 20 * _MEGA
    photo_pixels: int = 30 * _MEGA
    idle_seconds: float = 600.0
    photos: int = 12
    at_once: int = 2
    connections: int = 64


class Recent(dict[Any, Value]):
    """A dictionary that forgets what was used longest ago when it is full."""

    def __init__(self, most: int) -> None:
        """Starts empty; it holds ``most`` entries."""
        self._most = most

    def use(self, key: Any, make: Callable[[], Value]) -> Value:
        """Returns an entry, made if it is not there, as the one used last."""
        self[key] = value = self.pop(key) if key in self else make()
        while len(self) > self._most:
            del self[next(iter(self))]
        return value


class Visit:
    """One photo, what was computed of it, and what was said of it.

    Attributes:
        photo: uint8 RGB, ``(H, W, 3)``.
        kept: Activations, by what they are of.
        shown: Explanations, by their names.
        lock: Held while something is computed of the photo.
    """

    def __init__(self, photo: np.ndarray) -> None:
        """Begins with a photo alone."""
        self.photo = photo
        self.kept: Recent[Any] = Recent(4)
        self.shown: Recent[Any] = Recent(16)
        self.lock = threading.Lock()


class Visits:
    """All photos that are kept, each under a name that cannot be guessed."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        """Begins with none."""
        self._limits, self._clock = limits, clock
        self._visits: collections.OrderedDict[str, tuple[float, Visit]] = collections.OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Returns how many photos are kept."""
        with self._lock:
            self._forget_idle()
            return len(self._visits)

    def begin(self, photo: np.ndarray) -> str:
        """Keeps a photo and returns its name."""
        name = secrets.token_urlsafe(18)
        with self._lock:
            self._forget_idle()
            while len(self._visits) >= self._limits.photos:
                self._visits.popitem(last=False)
            self._visits[name] = self._clock(), Visit(photo)
        return name

    def get(self, name: str) -> Visit:
        """Returns a visit; raises ForgottenError if there is none of this name."""
        with self._lock:
            self._forget_idle()
            if name not in self._visits:
                raise ForgottenError("This photo is not kept any more. Choose it once more.")
            _, visit = self._visits.pop(name)
            self._visits[name] = self._clock(), visit
            return visit

    def end(self, name: str) -> None:
        """Forgets a photo and all that was computed of it."""
        with self._lock:
            self._visits.pop(name, None)

    def forget_idle(self) -> None:
        """Forgets those that nobody has asked about for too long."""
        with self._lock:
            self._forget_idle()

    def _forget_idle(self) -> None:
        oldest = self._clock() - self._limits.idle_seconds
        for name in [name for name, (used, _) in self._visits.items() if used < oldest]:
            del self._visits[name]


def read_upload(content: bytes, name: str, limits: Limits) -> np.ndarray:
    """Decodes a photo that somebody sent.

    Args:
        content: The file.
        name: What it is called there, for the messages.
        limits: What is taken.

    Returns:
        uint8 RGB, ``(H, W, 3)``.

    Raises:
        InputError: If it is empty, no image, damaged, or has too many pixels; its pixels are counted before any is
            decoded.
    """
    name = name[:_LONGEST_NAME] or "the file"
    if not content:
        raise InputError(f"{name!r} is empty.")
    most = f"at most {limits.photo_pixels / _MEGA:g} million are taken. Make it smaller."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            with PIL.Image.open(io.BytesIO(content)) as image:
                width, height = image.size
    except PIL.Image.DecompressionBombError as error:
        raise InputError(f"{name!r} has far too many pixels; {most}") from error
    except Exception:  # Pillow's readers raise what they like; decoding it below says what is wrong.
        width = height = 0
    if width * height > limits.photo_pixels:
        raise InputError(f"{name!r} has {width} x {height} pixels; {most}")
    return np.asarray(decode_photo(io.BytesIO(content), name))

"""Photos that a visitor can try: those that scikit-image ships, where it is installed."""

import functools
import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gradcam_jax.errors import lookup
from gradcam_jax.images import read_photo, sample_photo

_FILES = {"cat": "chelsea.png", "coffee": "coffee.png", "astronaut": "astronaut.png", "rocket": "rocket.jpg"}
_SAMPLE = "cat and coffee"


@functools.cache
def example_names() -> tuple[str, ...]:
    """Returns the examples' names; none without scikit-image."""
    names = tuple(name for name, path in _paths().items() if path.is_file())
    return (_SAMPLE, *names) if {"cat", "coffee"} <= set(names) else names


@functools.lru_cache(maxsize=8)
def example_photo(name: str) -> np.ndarray:
    """Returns an example, uint8 RGB ``(H, W, 3)``; raises InputError if there is none of this name."""
    lookup(dict.fromkeys(example_names()), name, "example")
    return sample_photo() if name == _SAMPLE else read_photo(_paths()[name])


def _paths() -> Mapping[str, Path]:
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        return {}
    return {name: Path(package.origin).parent / "data" / file for name, file in _FILES.items()}

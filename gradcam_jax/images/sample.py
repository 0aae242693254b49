"""The sample photo: two of scikit-image's CC0 photos, one above the other: an image of two classes."""

import importlib.util
from pathlib import Path

import numpy as np
import PIL.Image

from gradcam_jax.errors import InputError
from gradcam_jax.images.photos import read_photo

_WIDTH = 450


def sample_photo() -> np.ndarray:
    """Returns a cat (``chelsea.png``) above a cup of coffee (``coffee.png``).

    Returns:
        uint8 RGB, ``(599, 450, 3)``.

    Raises:
        InputError: If scikit-image is not installed.

    References:
        Both photos were put into the public domain (CC0) by their photographers, Stefan van der Walt and
        Rachel Michetti; scikit-image ships them.
    """
    return np.concatenate([_scaled(name) for name in ("chelsea.png", "coffee.png")], axis=0)


def _scaled(name: str) -> np.ndarray:
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        raise InputError(
            "The sample photo is made from photos in scikit-image, which is not installed. Install it with "
            "pip install scikit-image, or name another photo: --input_image_path PHOTO."
        )
    photo = read_photo(Path(package.origin).parent / "data" / name)
    height = round(photo.shape[0] * _WIDTH / photo.shape[1])
    return np.asarray(PIL.Image.fromarray(photo).resize((_WIDTH, height), PIL.Image.Resampling.LANCZOS))

"""The sample photo: two of scikit-image's CC0 photos side by side, so that two classes can be told apart."""

import importlib.util
from pathlib import Path

import numpy as np
import PIL.Image

from gradcam_jax.errors import InputError
from gradcam_jax.preprocessing import read_photo

_HEIGHT = 300


def sample_photo() -> np.ndarray:
    """Returns a cat (``chelsea.png``) beside a cup of coffee (``coffee.png``).

    Returns:
        uint8 RGB, ``(300, W, 3)``.

    Raises:
        InputError: If scikit-image is not installed.

    References:
        Both photos were put into the public domain (CC0) by their photographers, Stefan van der Walt and
        Rachel Michetti; scikit-image ships them.
    """
    return np.concatenate([_scaled(name) for name in ("chelsea.png", "coffee.png")], axis=1)


def _scaled(name: str) -> np.ndarray:
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        raise InputError(
            "The sample photo is made from photos in scikit-image, which is not installed. Install it with "
            "pip install scikit-image, or name a photo of your own: --input_image_path PHOTO."
        )
    photo = read_photo(Path(package.origin).parent / "data" / name)
    width = round(photo.shape[1] * _HEIGHT / photo.shape[0])
    return np.asarray(PIL.Image.fromarray(photo).resize((width, _HEIGHT), PIL.Image.Resampling.LANCZOS))

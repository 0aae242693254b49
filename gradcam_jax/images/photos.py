"""Decodes photo files of every common kind into upright 8-bit RGB arrays."""

import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps

from gradcam_jax.errors import InputError


def read_photo(path: str | Path, *, at_least: int | None = None) -> np.ndarray:
    """Decodes a photo of any common kind and turns it upright.

    Grey and palette photos become RGB, transparency is laid on white, 16-bit and CMYK photos are reduced to
    8-bit RGB, and the EXIF orientation is applied. (The original program ignores the orientation and drops
    the alpha channel.)

    Args:
        path: An image file that Pillow can read.
        at_least: If given, a JPEG is decoded at 1/2, 1/4 or 1/8 of its size if both its sides stay at least so
            many pixels long: much faster, and nearly what shrinking the whole photo gives.

    Returns:
        uint8 RGB, ``(H, W, 3)``.

    Raises:
        InputError: If there is no such file, or it is not an image, is truncated, or is too large.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"Expected a photo, but {str(path)!r} {what}.")
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 megapixels on and refuses from 179 on; the refusal is enough.
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            with PIL.Image.open(path) as opened:
                if at_least is not None:
                    opened.draft("RGB", (at_least, at_least))  # Only JPEGs have it; others are left alone.
                return np.asarray(_to_rgb(PIL.ImageOps.exif_transpose(opened)))
    except PIL.UnidentifiedImageError as error:
        raise InputError(f"{str(path)!r} is not an image that can be read (JPEG, PNG, WebP, TIFF...).") from error
    except PIL.Image.DecompressionBombError as error:
        raise InputError(f"{str(path)!r} is too large to be decoded: {error}") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise InputError(f"{str(path)!r} cannot be decoded, it may be truncated: {error}") from error


def _to_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.asarray(image).astype(np.float64)  # 16-bit grey, which convert() would clip at 255
        image = PIL.Image.fromarray(np.clip(values / 257 + 0.5, 0, 255).astype(np.uint8))
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image))
        scaled = (values - values.min()) / max(float(np.ptp(values)), 1e-12)
        image = PIL.Image.fromarray((scaled * 255).astype(np.uint8))
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = PIL.Image.new("RGBA", layered.size, "white")
        return PIL.Image.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")

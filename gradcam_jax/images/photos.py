"""Decodes photo files of every common kind into upright 8-bit RGB arrays."""

import io
import stat
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL.Image
import PIL.ImageOps

from gradcam_jax.errors import InputError


def read_photo(path: str | Path, *, at_least: int | None = None) -> np.ndarray:
    """Decodes a photo of any common kind and turns it upright.

    Args:
        path: An image file that Pillow can read.
        at_least: As for :func:`decode_photo`.

    Returns:
        uint8 RGB, ``(H, W, 3)``.

    Raises:
        InputError: If there is no such file, or it cannot be read, is not an image, is damaged, or is too large.
    """
    return np.asarray(decode_photo(io.BytesIO(read_file(path)), path, at_least=at_least))


def read_file(path: str | Path) -> bytes:
    """Returns a file's bytes.

    Raises:
        InputError: If there is no such file, or it cannot be read.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
        content = path.read_bytes() if stat.S_ISREG(mode) else b""
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"Expected a photo, but {str(path)!r} does not exist.") from error
    except (OSError, ValueError) as error:  # a ValueError of a name that no file can have
        raise InputError(f"{str(path)!r} cannot be read: {getattr(error, 'strerror', error)}.") from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "not a file"
        raise InputError(f"Expected a photo, but {str(path)!r} is {kind}.")
    return content


def decode_photo(file: BinaryIO, name: str | Path, *, at_least: int | None = None) -> PIL.Image.Image:
    """Decodes a photo's bytes and turns it upright; the pixels stay Pillow's, 8-bit RGB.

    Grey and palette photos become RGB, transparency is composited on white, 16-bit and CMYK photos become 8-bit
    RGB, and the EXIF orientation is applied. (The original program ignores the orientation and drops
    the alpha channel.)

    Args:
        file: The bytes, from their beginning.
        name: What the messages call it.
        at_least: If given, a JPEG is decoded at the smallest of 1/2, 1/4 and 1/8 of its size at which both sides
            have at least this many pixels: much faster, and nearly what shrinking the whole photo gives.

    Raises:
        InputError: If it is not an image, is damaged, or is too large.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 megapixels on and refuses from 179 on; the refusal is enough.
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            image = PIL.Image.open(file)
            if at_least is not None:
                image.draft("RGB", (at_least, at_least))  # Only JPEGs have it; others stay as they are.
            image.load()
            PIL.ImageOps.exif_transpose(image, in_place=True)
            return _to_rgb(image)
    except PIL.UnidentifiedImageError as error:
        raise InputError(f"{str(name)!r} is not an image that can be read (JPEG, PNG, WebP, TIFF...).") from error
    except PIL.Image.DecompressionBombError as error:
        raise InputError(f"{str(name)!r} is too large to be decoded: {error}") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise InputError(f"{str(name)!r} cannot be decoded: {error}") from error


def _to_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.asarray(image).astype(np.float64)  # 16-bit grey, which convert() clips at 255.
        image = PIL.Image.fromarray(np.clip(values / 257 + 0.5, 0, 255).astype(np.uint8))
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image))
        scaled = (values - values.min()) / max(float(np.ptp(values)), 1e-12)
        image = PIL.Image.fromarray((scaled * 255).astype(np.uint8))
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = PIL.Image.new("RGBA", layered.size, "white")
        return PIL.Image.alpha_composite(white, layered).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")

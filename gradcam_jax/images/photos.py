"""Decodes photo files of every common kind into upright 8-bit RGB arrays."""

import stat
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps

from gradcam_jax.errors import InputError


def read_photo(path: str | Path, *, at_least: int | None = None) -> np.ndarray:
    """Decodes a photo of any common kind and turns it upright.

    Grey and palette photos become RGB, transparency is composited on white, 16-bit and CMYK photos become 8-bit
    RGB, and the EXIF orientation is applied. (The original program ignores the orientation and drops
    the alpha channel.)

    Args:
        path: An image file that Pillow can read.
        at_least: If given, a JPEG is decoded at the smallest of 1/2, 1/4 and 1/8 of its size at which both sides
            have at least this many pixels: much faster, and nearly what shrinking the whole photo gives.

    Returns:
        uint8 RGB, ``(H, W, 3)``.

    Raises:
        InputError: If there is no such file, or it cannot be read, is not an image, is damaged, or is too large.
    """
    path = Path(path)
    _require_file(path)
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 megapixels on and refuses from 179 on; the refusal is enough.
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            with open(path, "rb") as file, PIL.Image.open(file) as image:
                if at_least is not None:
                    image.draft("RGB", (at_least, at_least))  # Only JPEGs have it; others stay as they are.
                return np.asarray(_to_rgb(PIL.ImageOps.exif_transpose(image)))
    except PIL.UnidentifiedImageError as error:
        raise InputError(f"{str(path)!r} is not an image that can be read (JPEG, PNG, WebP, TIFF...).") from error
    except PIL.Image.DecompressionBombError as error:
        raise InputError(f"{str(path)!r} is too large to be decoded: {error}") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise _unreadable(path, error) from error


def _require_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"Expected a photo, but {str(path)!r} does not exist.") from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "not a file"
        raise InputError(f"Expected a photo, but {str(path)!r} is {kind}.")


def _unreadable(path: Path, error: Exception) -> InputError:
    # The operating system's errors have a number; Pillow's have none and say what is wrong with the image.
    if isinstance(error, OSError) and error.errno is not None:
        return InputError(f"{str(path)!r} cannot be read: {error.strerror}.")
    return InputError(f"{str(path)!r} cannot be decoded: {error}")


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
    return image.convert("RGB")

"""Decodes photo files of every common kind into upright 8-bit RGB arrays."""

import io
import stat
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL.Image

from gradcam_jax.errors import InputError
from gradcam_jax.formats.storage import is_remote, path_of

_ORIENTATION = 0x0112  # the EXIF tag
_TURNS = {
    1: None,
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
_PNG, _PNG_TEXTS = b"\x89PNG\r\n\x1a\n", (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
_BITS = (8, 10, 12, 14, 16, 24, 32)


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
    if is_remote(path):
        return _read_remote(str(path))
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


def _read_remote(name: str) -> bytes:
    try:
        return path_of(name).read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"Expected a photo, but {name!r} does not exist.") from error
    except InputError:
        raise
    except Exception as error:  # each object store has its own
        raise InputError(f"{name!r} cannot be read: {error}.") from error


def decode_photo(file: BinaryIO, name: str | Path, *, at_least: int | None = None) -> PIL.Image.Image:
    """Decodes a photo's bytes and turns it upright; the pixels stay Pillow's, 8-bit RGB.

    Grey and palette photos become RGB, transparency is composited on white, CMYK photos become 8-bit RGB, grey
    values of more bits and floats are scaled by what the photo holds, and the EXIF orientation is applied where it
    can be read. (The original program ignores the orientation and drops the alpha channel.)

    Args:
        file: The bytes, from their beginning.
        name: What the messages call it.
        at_least: If given, a JPEG is decoded at the smallest of 1/2, 1/4 and 1/8 of its size at which both sides
            have at least this many pixels: much faster, and nearly what shrinking the whole photo gives.

    Raises:
        InputError: If it is not an image, is damaged, or is too large.
    """
    content = file.read()
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 megapixels on and refuses from 179 on; the refusal is enough. It warns of
            # damaged metadata, too.
            warnings.simplefilter("ignore")
            return _decode(content, at_least)
    except PIL.UnidentifiedImageError as error:
        raise InputError(f"{str(name)!r} is not an image that can be read (JPEG, PNG, WebP, TIFF...).") from error
    except PIL.Image.DecompressionBombError as error:
        raise InputError(f"{str(name)!r} is too large to be decoded: {error}") from error
    except InputError as error:
        raise InputError(f"{str(name)!r} {error}") from error
    except Exception as error:  # Decoders raise what they like at a damaged file.
        reason = str(error) or type(error).__name__
        raise InputError(f"{str(name)!r} cannot be decoded: {reason}") from error


def orientation_of(image: PIL.Image.Image) -> int:
    """Returns a photo's EXIF orientation, 1 to 8; 1 (upright) where its metadata do not say or cannot be read."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # The metadata are damaged in some way; the pixels are whole.
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _decode(content: bytes, at_least: int | None) -> PIL.Image.Image:
    try:
        image = PIL.Image.open(io.BytesIO(content))
        if at_least is not None:
            image.draft("RGB", (at_least, at_least))  # Only JPEGs have it; others stay as they are.
        image.load()
    except ValueError:
        bare = _without_text(content)
        if bare == content:
            raise
        image = PIL.Image.open(io.BytesIO(bare))
        image.load()
    turn = _TURNS.get(orientation_of(image))
    return _to_rgb(image if turn is None else image.transpose(turn))


def _without_text(content: bytes) -> bytes:
    """Takes texts and colour profiles out of a PNG: Pillow refuses the file where these are larger than 1 MB."""
    if not content.startswith(_PNG):
        return content
    kept, place = [_PNG], len(_PNG)
    while place + 12 <= len(content):
        end = place + 12 + int.from_bytes(content[place : place + 4], "big")
        if content[place + 4 : place + 8] not in _PNG_TEXTS:
            kept.append(content[place:end])
        place = end
    return b"".join(kept)


def _to_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        image = PIL.Image.fromarray(_bytes_of(np.asarray(image)))
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = PIL.Image.new("RGBA", layered.size, "white")
        return PIL.Image.alpha_composite(white, layered).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _bytes_of(values: np.ndarray) -> np.ndarray:
    """Scales grey values of any type to bytes by what the photo holds.

    Integers from 0 are divided by the largest number of as many bits as the highest has, of 8, 10, 12, 14, 16, 24
    or 32: a camera's 12 bits in a file of 16 are not dark. Others are stretched from the lowest finite value to
    the highest.
    """
    values = values.astype(np.float64)
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise InputError("holds no finite value.")
    lowest, highest = float(finite.min()), float(finite.max())
    if lowest >= 0 and finite.size == values.size and not np.any(values % 1) and highest > 1:
        lowest = 0.0
        highest = next(2.0**bits - 1 for bits in _BITS if highest < 2**bits)
    values = np.clip(np.nan_to_num(values, nan=lowest, posinf=highest, neginf=lowest), lowest, highest)
    return ((values - lowest) / max(highest - lowest, 1e-12) * 255 + 0.5).astype(np.uint8)

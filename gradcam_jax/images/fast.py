"""Decoding and resizing by libraries that use the processor's vector instructions (extra ``fast``).

2.5 times as fast as Pillow. simplejpeg wraps the library that Pillow decodes with: the same pixels.
cykooz-resizer computes Pillow's filters with coefficients of 16 bits, rounded elsewhere: every seventh byte is not
Pillow's, nearly always by 1, and by up to about 10 where a bicubic filter overshoots.
"""

# Libraries of an extra, which need not be here for the package to be checked.
# pyright: reportMissingImports=false

import importlib.util
import io
from pathlib import Path

import numpy as np
import PIL.Image

from gradcam_jax.errors import InputError
from gradcam_jax.images.photos import decode_photo, orientation_of
from gradcam_jax.images.preprocessing import Photo

_PLAIN = ("YCbCr", "Gray", "RGB")
_JPEG, _EXIF, _HEADER = b"\xff\xd8", b"Exif\x00\x00", 65536
_FILTERS = {PIL.Image.Resampling.BILINEAR: "bilinear", PIL.Image.Resampling.BICUBIC: "catmull_rom"}


def require_fast() -> None:
    """Raises InputError unless the libraries are installed."""
    missing = [name for name in ("simplejpeg", "cykooz_resizer") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"--fast_decoding needs {' and '.join(missing)}:  pip install {' '.join(missing)}")


def decode_fast(content: bytes, name: str | Path, *, at_least: int | None = None) -> Photo:
    """Decodes a photo; what is no upright JPEG of a common kind, or damaged, is Pillow's.

    Args:
        content: The file's bytes.
        name: What the messages call it.
        at_least: As for :func:`gradcam_jax.images.photos.decode_photo`.

    Raises:
        InputError: As :func:`gradcam_jax.images.photos.decode_photo`.
    """
    import simplejpeg

    if content[:2] == _JPEG:
        try:
            height, width, colors = _header(content)
            sane = height * width <= (PIL.Image.MAX_IMAGE_PIXELS or height * width)
            if sane and colors in _PLAIN and _is_upright(content):
                factor = _factor(min(height, width), at_least)
                return simplejpeg.decode_jpeg(
                    content, "RGB", min_height=height // factor, min_width=width // factor, min_factor=factor
                )
        except ValueError:
            return decode_photo(io.BytesIO(content), name, at_least=at_least)  # whose errors are the ones known
    return decode_photo(io.BytesIO(content), name, at_least=at_least)


def resample_fast(photo: Photo, size: tuple[int, int], resampling: PIL.Image.Resampling) -> np.ndarray:
    """Resizes a photo nearly as Pillow does.

    Args:
        photo: uint8 RGB ``(H, W, 3)``, or Pillow's.
        size: The new ``(width, height)``.
        resampling: Pillow's bilinear or bicubic filter.

    Returns:
        uint8 ``(height, width, 3)``.
    """
    from cykooz_resizer import FilterType, ImageData, PixelType, ResizeAlg, ResizeOptions, Resizer

    pixels = np.asarray(photo)
    source = ImageData(pixels.shape[1], pixels.shape[0], PixelType.U8x3, pixels.tobytes())
    result = ImageData(*size, PixelType.U8x3)
    algorithm = ResizeAlg.convolution(FilterType[_FILTERS[resampling]])
    Resizer().resize(source, result, ResizeOptions(algorithm))
    return np.frombuffer(result.get_buffer(), np.uint8).reshape(size[1], size[0], 3)


def _header(content: bytes) -> tuple[int, int, str]:
    import simplejpeg

    height, width, colors, _ = simplejpeg.decode_jpeg_header(content)
    return int(height), int(width), str(colors)


def _factor(side: int, at_least: int | None) -> int:
    """Returns the largest of 1, 2, 4 and 8 by which a side can be divided and stay long enough."""
    return 1 if at_least is None else max((factor for factor in (2, 4, 8) if side >= at_least * factor), default=1)


def _is_upright(content: bytes) -> bool:
    if _EXIF not in content[:_HEADER]:
        return True
    return orientation_of(PIL.Image.open(io.BytesIO(content))) == 1

"""From a photo to what a network takes: one named preprocessing a checkpoint family.

Everywhere else an image is RGB in [0, 1], ``(..., H, W, 3)``: float32, or integers as fractions of their type's
maximum. Channel order, scale and mean change here and nowhere else. A preprocessing also says which part of the
photo the image shows, so that a map can be drawn over the photo.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import PIL.Image

from gradcam_jax.attribution.resize_matrices import corner_aligned_matrix
from gradcam_jax.errors import InputError, lookup

Array = TypeVar("Array", bound=Any)
"""A numpy array or a JAX array, traced or not."""

Photo = np.ndarray | PIL.Image.Image
"""uint8 RGB, ``(H, W, 3)``, or an image of Pillow's in mode RGB."""


Resample = Callable[[Photo, tuple[int, int], PIL.Image.Resampling], np.ndarray]
"""``resample(photo, (width, height), filter)`` -> uint8 ``(height, width, 3)``."""


def resample(photo: Photo, size: tuple[int, int], resampling: PIL.Image.Resampling) -> np.ndarray:
    """Resizes a photo with one of Pillow's filters.

    Args:
        photo: uint8 RGB ``(H, W, 3)``, or Pillow's.
        size: The new ``(width, height)``.
        resampling: The filter.

    Returns:
        uint8 ``(height, width, 3)``.
    """
    image = PIL.Image.fromarray(photo) if isinstance(photo, np.ndarray) else photo
    return np.asarray(image.resize(size, resampling))


_OVERSHOOT = 0.5  # of a resampling filter, as a share of white; 0..255 or a subtracted mean is far outside


class Resized(NamedTuple):
    """A photo brought to the network's size.

    Attributes:
        image: RGB, ``(size, size, 3)``: uint8 where bytes are resized, else float32 in [0, 1].
        box: The part of the photo that the image shows, ``(left, top, right, bottom)`` in the photo's pixels.
    """

    image: np.ndarray
    box: tuple[float, float, float, float]


class Preprocessing(NamedTuple):
    """What one family of checkpoints takes.

    Attributes:
        name: Its name on the command line.
        size: Side of the image, in pixels, unless the user sets another.
        resize: ``resize(photo, size, resample) -> Resized``, photo uint8 RGB ``(H, W, 3)`` or Pillow's; with
            :func:`resample` unless another function is given.
        order: The network's channel order, ``"RGB"`` or ``"BGR"``.
        scale: Factor on [0, 1] values, before the mean is subtracted.
        mean: One value a channel, in the network's order.
        deviation: One divisor a channel, in the network's order.
        in_bytes: Whether ``resize`` resizes bytes and its image is uint8.
    """

    name: str
    size: int
    resize: Callable[..., Resized]
    order: str
    scale: float
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    in_bytes: bool = True


def stretch_torch7(photo: Photo, size: int, _resample: Resample = resample) -> Resized:
    """Stretches the whole photo to a square by the original program's rule, without rounding to bytes.

    Args:
        photo: uint8 RGB ``(H, W, 3)``, or Pillow's.
        size: Side of the image, in pixels.
        _resample: Of no use here: the rule is Torch7's alone.

    Returns:
        The whole photo as a float32 image; areas are averaged when shrinking, corners aligned when enlarging.

    References:
        torch/image, ``image.scale`` (mode "bilinear"): the width first, then the height.
    """
    pixels = np.asarray(photo)
    height, width = pixels.shape[:2]
    narrow = _weighted(pixels, *_torch7_weights(width, size), axis=1) * np.float32(1 / 255)
    image = _weighted(narrow, *_torch7_weights(height, size), axis=0)
    return Resized(image, (0.0, 0.0, float(width), float(height)))


@functools.lru_cache(maxsize=256)
def _torch7_weights(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the pixels that each new pixel is a weighted sum of, and their weights, ``(taps, size)`` each."""
    matrix = corner_aligned_matrix(count, size)
    taps = int(np.count_nonzero(matrix, axis=1).max())
    indices = np.minimum((matrix != 0).argmax(axis=1) + np.arange(taps)[:, np.newaxis], count - 1)
    weights = np.take_along_axis(matrix.T, indices, axis=0)
    weights[1:][indices[1:] == indices[:-1]] = 0  # the last pixel counts once
    return indices, weights.astype(np.float32)


def _weighted(image: np.ndarray, indices: np.ndarray, weights: np.ndarray, *, axis: int) -> np.ndarray:
    total = np.float32(0)
    for index, weight in zip(indices, weights, strict=True):
        total = total + np.take(image, index, axis=axis) * (
            weight[:, np.newaxis] if axis else weight[:, np.newaxis, np.newaxis]
        )
    return np.asarray(total)


def stretch_bicubic(photo: Photo, size: int, resample: Resample = resample) -> Resized:
    """Stretches the whole photo to a square by Pillow's antialiased bicubic filter."""
    width, height = _size_of(photo)
    image = resample(photo, (size, size), PIL.Image.Resampling.BICUBIC)
    return Resized(image, (0.0, 0.0, float(width), float(height)))


def crop_bilinear(photo: Photo, size: int, resample: Resample = resample) -> Resized:
    """Shrinks the short side to 256/224 of the size and cuts out the centre: torchvision's evaluation.

    References:
        torchvision, ``transforms.Resize(256)`` (bilinear, antialiased) then ``CenterCrop(224)``.
    """
    return _centre_crop(photo, size, PIL.Image.Resampling.BILINEAR, resample)


def crop_bicubic(photo: Photo, size: int, resample: Resample = resample) -> Resized:
    """Shrinks the short side to 256/224 of the size and cuts out the centre: EfficientNet's evaluation.

    References:
        tensorflow/tpu, ``efficientnet/preprocessing.py``: a central crop of 224/(224 + 32), then bicubic.
    """
    return _centre_crop(photo, size, PIL.Image.Resampling.BICUBIC, resample)


def _centre_crop(photo: Photo, size: int, resampling: PIL.Image.Resampling, resample: Resample) -> Resized:
    width, height = _size_of(photo)
    short = round(size * 256 / 224)
    factor = short / min(height, width)
    new_width = short if width <= height else max(int(short * width / height), short)
    new_height = short if height <= width else max(int(short * height / width), short)
    left, top = round((new_width - size) / 2), round((new_height - size) / 2)
    image = resample(photo, (new_width, new_height), resampling)[top : top + size, left : left + size]
    box = (left / factor, top / factor, (left + size) / factor, (top + size) / factor)
    return Resized(image, (box[0], box[1], min(box[2], width), min(box[3], height)))


def _size_of(photo: Photo) -> tuple[int, int]:
    """Returns ``(width, height)``."""
    return (photo.shape[1], photo.shape[0]) if isinstance(photo, np.ndarray) else photo.size


ORIGINAL = Preprocessing(
    "original", 224, stretch_torch7, "BGR", 255.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0), in_bytes=False
)
"""The original program's, and the VGG caffemodels': Torch7's resize, BGR, the VGG mean pixel."""

CAFFE_ALEXNET = ORIGINAL._replace(name="caffe_alexnet", size=227, mean=(104.00698793, 116.66876762, 122.67891434))
"""bvlc_alexnet's own mean pixel (that of ``ilsvrc_2012_mean``). The original program feeds it VGG's."""

TORCHVISION = Preprocessing(
    "torchvision", 224, crop_bilinear, "RGB", 1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
)
"""torchvision's evaluation of its ImageNet weights."""

EFFICIENTNET_LITE = Preprocessing(
    "efficientnet_lite",
    224,
    stretch_bicubic,
    "RGB",
    255.0,
    (127.0, 127.0, 127.0),
    (128.0, 128.0, 128.0),
)
"""EfficientNet-Lite's (byte - 127) / 128, over the whole photo, so that its edges can be explained too."""

EFFICIENTNET_LITE_CROP = EFFICIENTNET_LITE._replace(name="efficientnet_lite_crop", resize=crop_bicubic)
"""EfficientNet-Lite's published evaluation: the centre of the photo, with its proportions."""

NEURALTALK2 = Preprocessing(
    "neuraltalk2", 224, stretch_torch7, "RGB", 255.0, (123.68, 116.779, 103.939), (1.0, 1.0, 1.0), in_bytes=False
)
"""What neuraltalk2 feeds its own checkpoint, whose BGR filters were fine-tuned on RGB. The original program feeds
that checkpoint BGR, as ``original`` does. (neuraltalk2 itself also cuts off the edge of the photo.)"""

EASY_VQA = Preprocessing("easy_vqa", 64, stretch_bicubic, "RGB", 1.0, (0.95, 0.95, 0.95), (0.2, 0.2, 0.2))
"""easy-VQA's pictures, 64x64: 0 is the mean of their light backgrounds, 0.2 about the pixels' deviation."""

ZERO_TO_ONE = Preprocessing("zero_to_one", 224, stretch_bicubic, "RGB", 1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""RGB in [0, 1] over the whole photo: for models of one's own."""

MINUS_ONE_TO_ONE = ZERO_TO_ONE._replace(name="minus_one_to_one", mean=(0.5, 0.5, 0.5), deviation=(0.5, 0.5, 0.5))
"""RGB in [-1, 1] over the whole photo: for models of one's own, and many that TensorFlow's programs trained."""

_ALL = (
    *(ORIGINAL, CAFFE_ALEXNET, TORCHVISION, EFFICIENTNET_LITE, EFFICIENTNET_LITE_CROP, NEURALTALK2, EASY_VQA),
    *(ZERO_TO_ONE, MINUS_ONE_TO_ONE),
)
PREPROCESSINGS = {preprocessing.name: preprocessing for preprocessing in _ALL}
"""Every preprocessing by name."""


def find_preprocessing(name: str) -> Preprocessing:
    """Returns the preprocessing of a name.

    Raises:
        InputError: If there is none; the nearest names are listed.

    Example:
        >>> find_preprocessing("caffe_alexnet").size
        227
    """
    return lookup(PREPROCESSINGS, name, "recipe")


def as_integers(image: np.ndarray, dtype: Any) -> np.ndarray:
    """Returns an image as integers, 1 becoming their type's maximum; float32 becomes fixed point, rounded.

    uint16 is half of float32's size; a value is off by at most 1/131070, 0.002 of a byte's step.

    Args:
        image: float32 in [0, 1], or of the type already.
        dtype: uint8 or uint16.

    Example:
        >>> as_integers(np.array([0, 0.5, 1], np.float32), np.uint16)
        array([    0, 32768, 65535], dtype=uint16)
    """
    if image.dtype == dtype:
        return image
    return np.rint(image * np.float32(np.iinfo(dtype).max)).astype(dtype)


def to_network(image: Array, preprocessing: Preprocessing) -> Array:
    """Turns RGB in [0, 1] into what the network takes: its channel order, scale and mean.

    Args:
        image: RGB, ``(..., H, W, 3)``, a numpy or a JAX array: float32 in [0, 1], or uint8 or uint16, whose
            maximum stands for 1.
        preprocessing: The checkpoint family's preprocessing.

    Returns:
        Float32, an array of the same kind and shape.

    Raises:
        InputError: If the channels are not last, integers are of another type, or floats are no fractions: 0..255
            where 0..1 is expected. (A traced array's values cannot be looked at.)

    Example:
        >>> blue = np.array([[[0.0, 0.0, 1.0]]])
        >>> to_network(blue, ORIGINAL).astype(int)  # blue comes first
        array([[[ 151, -116, -123]]])
    """
    _require_rgb(image)
    values = image.astype(np.float32)
    if np.issubdtype(image.dtype, np.integer):
        values = values / np.float32(np.iinfo(image.dtype).max)
    values = values[..., ::-1] if preprocessing.order == "BGR" else values
    axes = (1,) * (values.ndim - 1) + (3,)
    mean = np.asarray(preprocessing.mean, np.float32).reshape(axes)
    deviation = np.asarray(preprocessing.deviation, np.float32).reshape(axes)
    return (values * preprocessing.scale - mean) / deviation


def _require_rgb(image: Any) -> None:
    if image.ndim < 3 or image.shape[-1] != 3:
        raise InputError(f"Expected RGB images, (..., H, W, 3), got shape {image.shape} instead.")
    if np.issubdtype(image.dtype, np.integer):
        if image.dtype not in (np.uint8, np.uint16):
            raise InputError(
                f"Expected uint8 or uint16, whose maximum stands for 1, or float32 in [0, 1], got {image.dtype} "
                "instead. Bytes in another type: image.astype('uint8')."
            )
        return
    try:
        lowest, highest = (float(image.min()), float(image.max())) if image.size else (0.0, 1.0)
    except TypeError:  # of a traced array
        return
    if not (lowest >= -_OVERSHOOT and highest <= 1 + _OVERSHOOT):  # nor NaN
        raise InputError(
            f"Expected RGB in [0, 1], got values from {lowest:.3g} to {highest:.3g} instead. Bytes as floats: "
            "divide them by 255. What the network takes already needs no preprocessing."
        )


def to_rgb(gradient: Array, preprocessing: Preprocessing) -> Array:
    """Returns a gradient at the network's input, ``(..., H, W, 3)``, in RGB order."""
    return gradient[..., ::-1] if preprocessing.order == "BGR" else gradient

"""From a photo file to what a network takes: one named recipe a checkpoint family.

Everywhere else an image is float32 RGB in [0, 1], ``(..., H, W, 3)``. Channel order, scale and mean change
here and nowhere else. A recipe also says which part of the photo the network saw, so that a map can be laid
back onto it.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import PIL.ImageOps

from gradcam_jax.attribution.resize import corner_aligned_matrix

_ROWS_AT_ONCE = 256


class Resized(NamedTuple):
    """A photo brought to the network's size.

    Attributes:
        image: Float32 RGB in [0, 1], ``(size, size, 3)``.
        box: The part of the photo that it shows, ``(left, top, right, bottom)`` in the photo's pixels.
    """

    image: np.ndarray
    box: tuple[float, float, float, float]


class Preprocessing(NamedTuple):
    """How one family of checkpoints was fed.

    Attributes:
        name: Its name on the command line.
        size: Side of the image, in pixels, unless the user asks for another.
        resize: ``resize(photo, size) -> Resized``, photo uint8 ``(H, W, 3)``.
        order: The channel order that the network takes, ``"RGB"`` or ``"BGR"``.
        scale: Factor on [0, 1] values, before the mean is taken off.
        mean: One value a channel, in the network's order.
        deviation: One divisor a channel, in the network's order.
        in_bytes: Whether ``resize`` resizes bytes, so that 255 times its image is whole.
    """

    name: str
    size: int
    resize: Callable[[np.ndarray, int], Resized]
    order: str
    scale: float
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    in_bytes: bool = False


def stretch_torch7(photo: np.ndarray, size: int) -> Resized:
    """Stretches the whole photo to a square by the original program's rule, without rounding to bytes.

    Args:
        photo: uint8 ``(H, W, 3)``.
        size: Side wanted, in pixels.

    Returns:
        The image, float32; areas are averaged when shrinking, corners aligned when enlarging.

    References:
        torch/image, ``image.scale`` (mode "bilinear"): the width first, then the height.
    """
    height, width = photo.shape[:2]
    columns, rows = corner_aligned_matrix(width, size), corner_aligned_matrix(height, size)
    narrow = np.empty((height, 3, size), np.float32)
    for top in range(0, height, _ROWS_AT_ONCE):
        block = photo[top : top + _ROWS_AT_ONCE].transpose(0, 2, 1).astype(np.float32)
        narrow[top : top + _ROWS_AT_ONCE] = (block * np.float32(1 / 255)) @ columns.T
    image = np.tensordot(rows, narrow, axes=1).transpose(0, 2, 1)
    return Resized(np.ascontiguousarray(image), (0.0, 0.0, float(width), float(height)))


def stretch_bicubic(photo: np.ndarray, size: int) -> Resized:
    """Stretches the whole photo to a square by Pillow's antialiased bicubic filter."""
    height, width = photo.shape[:2]
    image = PIL.Image.fromarray(photo).resize((size, size), PIL.Image.Resampling.BICUBIC)
    return Resized(_as_float(image), (0.0, 0.0, float(width), float(height)))


def crop_bilinear(photo: np.ndarray, size: int) -> Resized:
    """Shrinks the short side to 256/224 of the size and cuts out the centre: torchvision's evaluation.

    References:
        torchvision, ``transforms.Resize(256)`` (bilinear, antialiased) then ``CenterCrop(224)``.
    """
    return _centre_crop(photo, size, PIL.Image.Resampling.BILINEAR)


def crop_bicubic(photo: np.ndarray, size: int) -> Resized:
    """Shrinks the short side to 256/224 of the size and cuts out the centre: EfficientNet's evaluation.

    References:
        tensorflow/tpu, ``efficientnet/preprocessing.py``: a central crop of 224/(224 + 32), then bicubic.
    """
    return _centre_crop(photo, size, PIL.Image.Resampling.BICUBIC)


def _centre_crop(photo: np.ndarray, size: int, resampling: PIL.Image.Resampling) -> Resized:
    height, width = photo.shape[:2]
    short = round(size * 256 / 224)
    factor = short / min(height, width)
    new_width = short if width <= height else max(int(short * width / height), short)
    new_height = short if height <= width else max(int(short * height / width), short)
    left, top = round((new_width - size) / 2), round((new_height - size) / 2)
    image = PIL.Image.fromarray(photo).resize((new_width, new_height), resampling)
    image = image.crop((left, top, left + size, top + size))
    box = (left / factor, top / factor, (left + size) / factor, (top + size) / factor)
    return Resized(_as_float(image), (box[0], box[1], min(box[2], width), min(box[3], height)))


ORIGINAL = Preprocessing(
    "original", 224, stretch_torch7, "BGR", 255.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0)
)
"""The original program's, and the VGG caffemodels': Torch7's resize, BGR, the VGG mean pixel."""

CAFFE_ALEXNET = ORIGINAL._replace(name="caffe_alexnet", size=227, mean=(104.00698793, 116.66876762, 122.67891434))
"""bvlc_alexnet's own mean pixel (that of ``ilsvrc_2012_mean``). The original program feeds it VGG's."""

TORCHVISION = Preprocessing(
    "torchvision", 224, crop_bilinear, "RGB", 1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), in_bytes=True
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
    in_bytes=True,
)
"""EfficientNet-Lite's (byte - 127) / 128, over the whole photo, so that nothing at its edge goes unexplained."""

EFFICIENTNET_LITE_CROP = EFFICIENTNET_LITE._replace(name="efficientnet_lite_crop", resize=crop_bicubic)
"""EfficientNet-Lite's published evaluation: the centre of the photo, undistorted."""

NEURALTALK2 = Preprocessing(
    "neuraltalk2", 224, stretch_torch7, "RGB", 255.0, (123.68, 116.779, 103.939), (1.0, 1.0, 1.0)
)
"""What neuraltalk2 feeds its own checkpoint, whose BGR filters were fine-tuned on RGB. The original program feeds
that checkpoint BGR, as ``original`` does. (neuraltalk2 itself also cuts off the edge of the photo.)"""

EASY_VQA = Preprocessing("easy_vqa", 64, stretch_bicubic, "RGB", 1.0, (0.95, 0.95, 0.95), (0.2, 0.2, 0.2))
"""easy-VQA's pictures, 64x64: 0 is the mean of their light backgrounds, 0.2 about the pixels' deviation."""

_ALL = (ORIGINAL, CAFFE_ALEXNET, TORCHVISION, EFFICIENTNET_LITE, EFFICIENTNET_LITE_CROP, NEURALTALK2, EASY_VQA)
PREPROCESSINGS = {recipe.name: recipe for recipe in _ALL}
"""Every recipe by name."""


def to_network(image: jax.Array | np.ndarray, recipe: Preprocessing) -> jax.Array:
    """Turns RGB in [0, 1] into what the network takes: its channel order, scale and mean.

    Args:
        image: Float32 RGB in [0, 1], ``(..., H, W, 3)``.
        recipe: The checkpoint family's recipe.

    Returns:
        Float32, the same shape.

    Example:
        >>> import jax.numpy as jnp
        >>> blue = jnp.array([[[0.0, 0.0, 1.0]]])
        >>> to_network(blue, ORIGINAL).astype(jnp.int32)  # blue comes first
        Array([[[ 151, -116, -123]]], dtype=int32)
    """
    values = jnp.asarray(image, jnp.float32)
    values = values[..., ::-1] if recipe.order == "BGR" else values
    axes = (1,) * (values.ndim - 1) + (3,)
    mean = jnp.asarray(recipe.mean, jnp.float32).reshape(axes)
    return (values * recipe.scale - mean) / jnp.asarray(recipe.deviation, jnp.float32).reshape(axes)


def to_rgb(gradient: jax.Array, recipe: Preprocessing) -> jax.Array:
    """Brings a gradient at the network's input, ``(..., H, W, 3)``, back to RGB order."""
    return gradient[..., ::-1] if recipe.order == "BGR" else gradient


def _as_float(image: PIL.Image.Image) -> np.ndarray:
    return np.asarray(image, np.float32) / np.float32(255)

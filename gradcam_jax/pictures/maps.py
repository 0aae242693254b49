"""Pictures of one map or one gradient: the original program's, byte for byte, and overlays on photos.

Pictures are uint8 RGB arrays ``(H, W, 3)``; maps are float ``(h, w)``. Nothing here touches a model.
"""

import numpy as np

from gradcam_jax.attribution.resize_matrices import corner_aligned_matrix, half_pixel_matrix
from gradcam_jax.errors import InputError, lookup
from gradcam_jax.pictures.colors import ORIGINAL, PAPERS, color_values

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in a photo's pixels: the part of the photo that a map covers."""

_ROWS_AT_ONCE = 256
_OPACITY = 0.75  # of an overlay where its map is highest


def min_max(values: np.ndarray) -> np.ndarray:
    """Shifts and scales a whole array to [0, 1], as the original's display rule; a constant becomes zeros."""
    values = np.asarray(values, np.float32)
    shifted = values - values.min()
    largest = shifted.max()
    return shifted / largest if largest > 0 else np.zeros_like(shifted)


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Turns [0, 1] into bytes as the original does: clamped, times 255, truncated."""
    return (np.clip(values, 0, 1) * np.float32(255)).astype(np.uint8)


def heat_map(heatmap: np.ndarray, colors: str = ORIGINAL) -> np.ndarray:
    """Draws a map as the original's heat map: min-max normalised, coloured; a constant map is all blue.

    Args:
        heatmap: Rectified map, ``(H, W)``.
        colors: Of :data:`gradcam_jax.pictures.COLORS`.
    """
    return to_bytes(color_values(min_max(heatmap), colors))


def grey_map(heatmap: np.ndarray) -> np.ndarray:
    """Draws a map in grey, min-max normalised (the original's ``-save_as_heatmap 0``); returns ``(H, W)``."""
    return to_bytes(min_max(heatmap))


def gradient_picture(gradient: np.ndarray) -> np.ndarray:
    """Draws guided backprop or Guided Grad-CAM as the original: min-max over all channels; zero is a mid grey.

    Args:
        gradient: Signed, RGB order, ``(H, W, 3)``.
    """
    return to_bytes(min_max(gradient))


def centred_gradient_picture(gradient: np.ndarray) -> np.ndarray:
    """Draws a signed gradient with zero always at mid grey and the 99.8th percentile at full contrast.

    Args:
        gradient: Signed, RGB order, ``(H, W, 3)``.
    """
    limit = float(np.percentile(np.abs(gradient), 99.8))
    if limit > 0:
        return to_bytes(0.5 + 0.5 * np.asarray(gradient, np.float32) / limit)
    return np.full(np.shape(gradient), 127, np.uint8)


def gradient_on(gradient: np.ndarray, ground: str = "white") -> np.ndarray:
    """Draws a signed gradient to be read on a white or a black page: where it is zero the page is seen.

    A pixel's strength is its largest channel's, of the 99.8th percentile; its hue is that of the gradient, dark
    enough on white and light enough on black to be seen.

    Args:
        gradient: Signed, RGB order, ``(H, W, 3)``.
        ground: ``"white"`` or ``"black"``.

    Returns:
        uint8 RGB, ``(H, W, 3)``.

    Example:
        >>> gradient_on(np.array([[[0.0, 0.0, 0.0], [2.0, -2.0, 0.0]]])).tolist()
        [[[255, 255, 255], [140, 0, 70]]]
    """
    paper = lookup(PAPERS, ground, "paper").ground[0] / 255
    gradient = np.asarray(gradient, np.float32)
    strongest = np.abs(gradient).max(axis=-1, keepdims=True)
    limit = float(np.percentile(strongest, 99.8)) if strongest.size else 0.0
    hue = 0.5 + 0.5 * gradient / np.maximum(strongest, np.finfo(np.float32).tiny)
    color = 0.55 * hue if paper else 0.45 + 0.55 * hue
    strength = np.sqrt(np.clip(strongest / limit, 0, 1)) if limit > 0 else np.zeros_like(strongest)
    return to_bytes((1 - strength) * paper + strength * color)


def heatmap_of(cam: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
    """Returns the part of a map that speaks for its target, at the network image's size.

    Args:
        cam: Signed map at the layer's resolution, ``(h, w)``.
        size: ``(height, width)`` of the network's image, to resize to by the original's corner-aligned rule;
            None leaves the layer's resolution.

    Returns:
        Float32, not negative, ``size`` or ``(h, w)``.

    Example:
        >>> heatmap_of(np.array([[-1.0, 2.0]]), (1, 3)).tolist()
        [[0.0, 1.0, 2.0]]
    """
    positive = np.maximum(np.asarray(cam, np.float32), 0)
    if size is None:
        return positive
    rows, columns = (
        corner_aligned_matrix(length, wanted) for length, wanted in zip(positive.shape, size, strict=True)
    )
    return rows @ positive @ columns.T


def heat_layer(
    heatmap: np.ndarray, size: tuple[int, int], *, colors: str = ORIGINAL, highest: float | None = None
) -> np.ndarray:
    """Draws a map as a layer to be laid over a photo: colours that are the more opaque the higher the map.

    A layer at opacity .75 over the photo is :func:`overlay`, but for rounding.

    Args:
        heatmap: Map of any scale, ``(h, w)``; it is rectified.
        size: ``(height, width)`` of the layer, in pixels.
        colors: Of :data:`gradcam_jax.pictures.COLORS`.
        highest: As for :func:`overlay`.

    Returns:
        uint8 RGBA, ``(height, width, 4)``; transparent where the map is 0 or negative.

    Example:
        >>> heat_layer(np.array([[0.0, 2.0]]), (1, 2)).tolist()
        [[[0, 0, 255, 0], [255, 0, 0, 255]]]
        >>> heat_layer(np.array([[1.0]]), (1, 1), highest=2).tolist()
        [[[0, 255, 0, 128]]]
    """
    heat = np.maximum(np.asarray(heatmap, np.float32), 0)
    highest = float(heat.max()) if highest is None else highest
    rows, columns = half_pixel_matrix(heat.shape[0], size[0]), half_pixel_matrix(heat.shape[1], size[1])
    value = np.clip(rows @ (heat / highest if highest > 0 else np.zeros_like(heat)) @ columns.T, 0, 1)
    layer = np.concatenate([color_values(value, colors), value[..., np.newaxis]], axis=-1)
    return np.round(255 * layer).astype(np.uint8)


def overlay(
    photo: np.ndarray,
    heatmap: np.ndarray,
    box: Box | None = None,
    *,
    colors: str = ORIGINAL,
    opacity: float = _OPACITY,
    highest: float | None = None,
) -> np.ndarray:
    """Lays a map on the photo, at the photo's own size.

    Where the map is 0 or negative the photo stays as it is; a map without a positive value leaves it untouched.

    Args:
        photo: uint8 RGB, ``(H, W, 3)``.
        heatmap: Map of any scale, ``(h, w)``; it is rectified and divided by its maximum.
        box: The part of the photo that the map covers; the whole photo if it is left out.
        colors: Of :data:`gradcam_jax.pictures.COLORS`.
        opacity: Where the map is highest, in [0, 1].
        highest: The value that has the full colour, to shade several maps by one scale; this map's maximum if left
            out.

    Returns:
        uint8 RGB, ``(H, W, 3)``.

    Raises:
        InputError: If the photo is not uint8 RGB, or there is not one map.
    """
    picture, heat = np.array(photo), np.maximum(np.asarray(heatmap, np.float32), 0)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise InputError(f"Expected a uint8 RGB photo (H, W, 3), got {picture.dtype} {picture.shape} instead.")
    if heat.ndim != 2:
        raise InputError(f"Expected one map (h, w), got an array {heat.shape} instead.")
    highest = float(heat.max()) if highest is None else highest
    if not heat.max() > 0 or not highest > 0:
        return picture
    left, top, right, bottom = (round(edge) for edge in box or (0, 0, picture.shape[1], picture.shape[0]))
    columns = half_pixel_matrix(heat.shape[1], max(right - left, 1))
    rows = half_pixel_matrix(heat.shape[0], max(bottom - top, 1))
    wide = (heat / highest) @ columns.T
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        value = np.clip(rows[start : start + _ROWS_AT_ONCE] @ wide, 0, 1)
        share = (opacity * value)[..., np.newaxis]
        part = picture[top + start : top + start + len(value), left:right]
        blend = (1 - share) * part + share * (255 * color_values(value, colors))
        picture[top + start : top + start + len(value), left:right] = np.round(blend).astype(np.uint8)
    return picture

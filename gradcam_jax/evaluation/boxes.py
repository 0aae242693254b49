"""From a map to a box, as in the paper's localisation of ILSVRC's objects, and how well boxes and masks overlap.

A box is ``(left, top, right, bottom)`` in fractions of a picture: its edges, so that a box of one pixel of a
picture 4 pixels wide is 0.25 wide. Data sets whose boxes name their last pixel add one pixel to it first
(:func:`inclusive_box`); overlaps are then those of the data sets' own programs.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import scipy.ndimage

from gradcam_jax.errors import InputError
from gradcam_jax.evaluation.pointing import Box

SHARE = 0.15
"""Of a map's maximum, from which on a pixel belongs to the object: the paper's."""

NOWHERE = (0.0, 0.0, 0.0, 0.0)
"""The box of a map without evidence: it overlaps nothing."""

_NEIGHBOURS = {4: 1, 8: 2}  # how scipy counts them


def foreground(heatmap: np.ndarray, share: float = SHARE) -> np.ndarray:
    """Marks the pixels of a map with at least a share of its maximum.

    Args:
        heatmap: Signed or rectified map, ``(H, W)``.
        share: Of the maximum, over 0 and at most 1.

    Returns:
        bool, ``(H, W)``; nothing is marked where no position is positive.

    Example:
        >>> foreground(np.array([[10.0, 1.5, 1.4], [-3.0, 0.0, 2.0]])).astype(int)
        array([[1, 1, 0],
               [0, 0, 1]])
    """
    if not 0 < share <= 1:
        raise InputError(f"Expected a share over 0 and at most 1, got {share} instead.")
    heatmap = np.asarray(heatmap)
    return (heatmap >= share * heatmap.max()) & (heatmap > 0)


def largest_segment(mask: np.ndarray, *, connectivity: int = 8) -> np.ndarray:
    """Keeps the largest connected segment of a mask, the first of several of one size.

    Args:
        mask: bool, ``(H, W)``.
        connectivity: Neighbours that a pixel is connected to: 4, or 8 with those at its corners. The paper does
            not say which.

    Returns:
        bool, ``(H, W)``; empty if the mask is.

    Example:
        >>> largest_segment(np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]], bool), connectivity=4).astype(int)
        array([[1, 0, 0],
               [0, 0, 0],
               [0, 0, 0]])
    """
    if connectivity not in _NEIGHBOURS:
        raise InputError(f"Expected a connectivity of 4 or 8, got {connectivity} instead.")
    structure = scipy.ndimage.generate_binary_structure(2, _NEIGHBOURS[connectivity])
    labels = np.asarray(scipy.ndimage.label(mask, structure)[0])  # type: ignore[index]
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return (labels == sizes.argmax()) & (labels > 0)


def tight_box(mask: np.ndarray) -> Box:
    """Returns the smallest box around everything marked: its edges, in fractions; :data:`NOWHERE` around nothing.

    Example:
        >>> tight_box(np.array([[0, 0, 0, 0], [0, 1, 1, 0]], bool))
        (0.25, 0.5, 0.75, 1.0)
    """
    if not mask.any():
        return NOWHERE
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return float(left / width), float(top / height), float(right / width), float(bottom / height)


def map_box(heatmap: np.ndarray, *, share: float = SHARE, connectivity: int = 8) -> Box:
    """Returns the box that a map draws around its object: that of the largest segment of its foreground.

    Args:
        heatmap: Map at the size at which it is cut, ``(H, W)``: the paper's is enlarged to the image first.
        share: As for :func:`foreground`.
        connectivity: As for :func:`largest_segment`.

    Returns:
        The box, in fractions of the map.

    References:
        Selvaraju et al., Grad-CAM, arXiv:1610.02391, section 4.1; the first author in ramprs/grad-cam, issue 6.
    """
    return tight_box(largest_segment(foreground(heatmap, share), connectivity=connectivity))


def inclusive_box(first: tuple[float, float], last: tuple[float, float], size: tuple[float, float]) -> Box:
    """Returns the box of a data set that names the first and the last pixel, counted from 1: VOC's and ILSVRC's.

    Args:
        first: Column and row of the pixel at the top left.
        last: Column and row of the pixel at the bottom right, which belongs to the box.
        size: Width and height of the photo.

    Example:
        >>> inclusive_box((1, 1), (2, 1), (4, 2))
        (0.0, 0.0, 0.5, 0.5)
    """
    (left, top), (right, bottom), (width, height) = first, last, size
    return (left - 1) / width, (top - 1) / height, right / width, bottom / height


def on_photo(box: Box, view: Box, size: tuple[int, int]) -> Box:
    """Returns where a box of the network's image lies on the photo.

    Args:
        box: In fractions of the network's image.
        view: The part of the photo that the image shows, in pixels, as preprocessing returns it.
        size: ``(height, width)`` of the photo.

    Returns:
        The box in fractions of the photo.

    Example:
        >>> on_photo((0.0, 0.5, 1.0, 1.0), (100, 0, 300, 200), (200, 400))
        (0.25, 0.5, 0.75, 1.0)
    """
    left, top, right, bottom = view
    height, width = size
    x = [(left + part * (right - left)) / width for part in box[::2]]
    y = [(top + part * (bottom - top)) / height for part in box[1::2]]
    return x[0], y[0], x[1], y[1]


def box_iou(box: Box, other: Box) -> float:
    """Returns the intersection of two boxes over their union; 0 if both are empty.

    Example:
        >>> box_iou((0.0, 0.0, 0.5, 1.0), (0.25, 0.0, 0.75, 1.0))
        0.3333333333333333
    """
    wide = min(box[2], other[2]) - max(box[0], other[0])
    high = min(box[3], other[3]) - max(box[1], other[1])
    shared = max(wide, 0.0) * max(high, 0.0)
    union = _area(box) + _area(other) - shared
    return shared / union if union > 0 else 0.0


def mask_iou(mask: np.ndarray, other: np.ndarray) -> float:
    """Returns the intersection of two masks, ``(H, W)`` bool, over their union; 0 if both are empty."""
    union = np.count_nonzero(mask | other)
    return float(np.count_nonzero(mask & other) / union) if union else 0.0


class Truth(NamedTuple):
    """An object of a photo that may be found.

    Attributes:
        classes: The classes that name it.
        boxes: Where it is, one box an instance.
    """

    classes: frozenset[int]
    boxes: Sequence[Box]


def localisation_errors(
    predicted: Sequence[int], boxes: Sequence[Box], truths: Iterable[Truth], *, iou: float = 0.5
) -> tuple[bool, bool]:
    """Tells whether a photo's first, and whether all of its predictions miss: the top-1 and top-5 error.

    A prediction is right if its class is an object's, and its box overlaps one of this object's.

    Args:
        predicted: The classes predicted, most probable first; the paper's are five.
        boxes: Each one's box, of its own map.
        truths: What is on the photo.
        iou: Intersection over union from which on boxes overlap.

    Returns:
        Whether the first is wrong, and whether all are.

    Example:
        >>> cat = Truth(frozenset({281}), [(0.0, 0.0, 0.5, 0.5)])
        >>> localisation_errors([7, 281], [(0.0, 0.0, 0.5, 0.5), (0.0, 0.0, 0.5, 0.4)], [cat])
        (True, False)

    References:
        Russakovsky et al., ILSVRC, arXiv:1409.0575, section 4.2; Selvaraju et al., arXiv:1610.02391, table 1.
    """
    truths = list(truths)
    right = [
        any(index in truth.classes and any(box_iou(box, own) >= iou for own in truth.boxes) for truth in truths)
        for index, box in zip(predicted, boxes, strict=True)
    ]
    return not right[0], not any(right)


def _area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)

"""Does a map lie on what it is about: its highest point (the pointing game), and its evidence as a whole."""

from collections.abc import Iterable, Sequence

import numpy as np

from gradcam_jax.errors import InputError

Box = Sequence[float]
"""(left, top, right, bottom), in fractions of the picture."""

CENTRE = (0.5, 0.5)
"""Where a map points that knows nothing: photographers put objects in the middle."""


def highest_point(cam: np.ndarray) -> tuple[float, float]:
    """Returns the centre of a map's highest cell as (x, y), in fractions of the picture.

    Args:
        cam: ``(h, w)``, at any resolution.

    Example:
        >>> highest_point(np.array([[0.0, 0.0, 0.0, 3.0], [0.0, 1.0, 0.0, 0.0]]))
        (0.875, 0.25)
    """
    height, width = cam.shape
    row, column = divmod(int(np.argmax(cam)), width)
    return (column + 0.5) / width, (row + 0.5) / height


def lies_in(point: tuple[float, float], boxes: Iterable[Box]) -> bool:
    """Tells whether a point, (x, y), lies in any of the boxes, their edges included."""
    x, y = point
    return any(left <= x <= right and top <= y <= bottom for left, top, right, bottom in boxes)


def points_at(cam: np.ndarray, boxes: Iterable[Box]) -> bool:
    """Tells whether a map's highest point lies in any of the boxes; a map without evidence points nowhere.

    Args:
        cam: Signed or rectified map, ``(h, w)``.
        boxes: Where the object is.

    References:
        Zhang et al., Top-down Neural Attention by Excitation Backprop, arXiv:1608.00507, section 4.1 (without
        its tolerance of 15 pixels); Selvaraju et al., arXiv:1610.02391.
    """
    return bool(np.max(cam) > 0) and lies_in(highest_point(cam), boxes)


def inside_boxes(boxes: Iterable[Box], shape: tuple[int, int]) -> np.ndarray:
    """Marks the cells of a grid whose centres lie in any of the boxes, their edges included.

    Their share is how often a map of random numbers points into the boxes.

    Args:
        boxes: Where the objects are.
        shape: Height and width of the grid.

    Returns:
        bool, ``(H, W)``.

    Example:
        >>> inside_boxes([(0.5, 0.0, 1.0, 0.5)], (2, 4)).astype(int)
        array([[0, 0, 1, 1],
               [0, 0, 0, 0]])
    """
    rows, columns = ((np.arange(length) + 0.5) / length for length in shape)
    inside = np.zeros(shape, bool)
    for left, top, right, bottom in boxes:
        inside |= ((top <= rows) & (rows <= bottom))[:, np.newaxis] & ((left <= columns) & (columns <= right))
    return inside


def inside_over_outside(heatmap: np.ndarray, inside: np.ndarray) -> float:
    """Returns the map's mean inside given boxes over its mean outside: the paper's caption test.

    Args:
        heatmap: Rectified map, ``(H, W)``.
        inside: Which positions lie in a box, ``(H, W)`` bool; some must, and some must not.

    Returns:
        The ratio: 1 for a flat map, also for one without any evidence; infinity if all of it is inside.

    Raises:
        InputError: If the boxes cover all or nothing.

    References:
        Selvaraju et al., Grad-CAM, arXiv:1610.02391, section 7.1.
    """
    inside = np.asarray(inside, bool)
    if inside.all() or not inside.any():
        raise InputError("Expected boxes that cover a part of the picture, not all of it and not nothing.")
    within, outside = float(np.mean(heatmap[inside])), float(np.mean(heatmap[~inside]))
    if not outside:
        return float("inf") if within else 1.0
    return within / outside

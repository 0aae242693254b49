"""Does a map lie on what it is about: its highest point (three pointing games), and its evidence as a whole."""

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


def points_within(heatmap: np.ndarray, mask: np.ndarray, *, tolerance: float = 15) -> bool:
    r"""Tells whether a map's highest pixel lies on an object or less than a tolerance away: TorchRay's rule.

    .. math:: \exists\, p \in M: \lVert p - \arg\max L \rVert^2 < \tau^2

    Args:
        heatmap: Map at the photo's own size, ``(H, W)``; of several highest pixels the first counts.
        mask: The object's pixels, ``(H, W)`` bool.
        tolerance: In pixels; 15 is Zhang et al.'s.

    Returns:
        Whether it is a hit; a map without evidence never is.

    Raises:
        InputError: If the shapes differ, or the tolerance is not positive.

    Example:
        >>> heatmap = np.array([[0.0, 0.0, 0.0, 3.0]])
        >>> mask = np.array([[True, True, False, False]])
        >>> points_within(heatmap, mask, tolerance=2), points_within(heatmap, mask, tolerance=2.1)
        (False, True)

    References:
        Zhang et al., Top-down Neural Attention by Excitation Backprop, arXiv:1608.00507, section 4.1;
        facebookresearch/TorchRay, ``benchmark/pointing_game.py``.
    """
    heatmap, mask = np.asarray(heatmap), np.asarray(mask, bool)
    if heatmap.shape != mask.shape:
        raise InputError(f"Expected a map and a mask of one shape, got {heatmap.shape} and {mask.shape} instead.")
    if not tolerance > 0:
        raise InputError(f"Expected a tolerance over 0 pixels, got {tolerance} instead.")
    if not heatmap.max() > 0:
        return False
    row, column = divmod(int(np.argmax(heatmap)), heatmap.shape[1])
    rows, columns = np.nonzero(mask)
    return bool(((rows - row) ** 2 + (columns - column) ** 2 < tolerance**2).any())


def rejection_hits(maxima: np.ndarray, inside: np.ndarray, present: np.ndarray, threshold: float) -> np.ndarray:
    """Tells which maps are hits in the paper's pointing game, which also tests what should not be found.

    The maps are those of a photo's five most probable classes. That of a class on the photo is a hit if it is not
    rejected and highest inside the class's annotation; that of a class that is not there if it is rejected: its
    maximum is below a threshold.

    Args:
        maxima: Each map's largest value, any shape.
        inside: Whether it is highest inside an annotation of its class.
        present: Whether its class is on the photo.
        threshold: Below which a map is rejected.

    Returns:
        bool, of the same shape; its mean is the accuracy.

    Example:
        >>> present = np.array([True, True, False, False])
        >>> rejection_hits(np.array([5.0, 1.0, 5.0, 1.0]), present, present, 2.0).tolist()
        [True, False, False, True]

    References:
        Selvaraju et al., Grad-CAM, arXiv:1610.02391, section 4.3.
    """
    rejected = np.asarray(maxima) < threshold
    return np.where(present, ~rejected & np.asarray(inside, bool), rejected)


def rejection_threshold(maxima: np.ndarray, inside: np.ndarray, present: np.ndarray) -> float:
    """Returns the threshold of :func:`rejection_hits` with the most hits, the lowest of several.

    The paper does not say how its threshold was chosen; choose it on other photos than those it is used on.

    Args:
        maxima: Each map's largest value, any shape.
        inside: Whether it is highest inside an annotation of its class.
        present: Whether its class is on the photo.
    """
    maxima, inside, present = (np.ravel(values) for values in (maxima, inside, present))
    candidates = np.unique(np.append(maxima, np.inf))
    gains = np.where(present, np.where(inside, -1, 0), 1)  # of hits, where the map is rejected
    order = np.argsort(maxima, kind="stable")
    totals = np.append(0, np.cumsum(gains[order]))
    return float(candidates[np.argmax(totals[np.searchsorted(maxima[order], candidates, side="left")])])


def energy_inside(heatmap: np.ndarray, mask: np.ndarray) -> float:
    """Returns the share of a map's evidence that lies on the object: the energy-based pointing game.

    Args:
        heatmap: Map, ``(H, W)``; what is negative counts as 0.
        mask: The object's pixels, ``(H, W)`` bool.

    Returns:
        From 0 to 1; the object's share of the picture for a uniform map, 0 for one without evidence.

    Example:
        >>> energy_inside(np.array([[3.0, 1.0, -5.0]]), np.array([[True, False, True]]))
        0.75

    References:
        Wang et al., Score-CAM, arXiv:1910.01279, section 4.3.
    """
    positive = np.maximum(np.asarray(heatmap, np.float64), 0)
    total = positive.sum()
    return float(positive[np.asarray(mask, bool)].sum() / total) if total > 0 else 0.0


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

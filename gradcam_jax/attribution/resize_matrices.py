"""The two resize rules of one axis as small matrices, in numpy alone.

A separable resize is ``rows @ image @ columns.T``: two small constant matrices, exact, fused by the compiler
and differentiable. Two rules are in use, and maps made with one do not look like maps made with the other:

* **corner-aligned / area**, of the original program (Torch7's ``image.scale``): enlarging interpolates
  linearly with the corner samples' centres aligned; shrinking averages over areas;
* **half-pixel**, of everyone else: sample centres at half integers; when shrinking, no antialiasing.
"""

import numpy as np


def corner_aligned_matrix(source: int, target: int) -> np.ndarray:
    """Returns Torch7's resize of one axis as a matrix: corner-aligned linear, or the mean over areas.

    Args:
        source: Length of the axis, at least 1.
        target: Length of the resized axis, at least 1.

    Returns:
        Float32 matrix ``(target, source)``; each row sums to 1.

    Example:
        >>> corner_aligned_matrix(2, 3)
        array([[1. , 0. ],
               [0.5, 0.5],
               [0. , 1. ]], dtype=float32)
        >>> corner_aligned_matrix(3, 2).round(3)
        array([[0.667, 0.333, 0.   ],
               [0.   , 0.333, 0.667]], dtype=float32)

    References:
        torch/image, ``generic/image.c``: ``scaleLinear_rowcol``, whose scale factor is a float32.
    """
    _require_lengths(source, target)
    if target > source:
        scale = np.float32(source - 1) / np.float32(target - 1)
        positions = np.arange(target, dtype=np.float32) * scale
        matrix = _linear_matrix(positions, source)
        matrix[-1] = 0
        matrix[-1, -1] = 1
        return matrix
    if target < source:
        return _area_matrix(source, target)
    return np.eye(source, dtype=np.float32)


def half_pixel_matrix(source: int, target: int) -> np.ndarray:
    """Returns linear interpolation of one axis with half-pixel centres as a matrix, without antialiasing.

    Args:
        source: Length of the axis, at least 1.
        target: Length of the resized axis, at least 1.

    Returns:
        Float32 matrix ``(target, source)``; each row sums to 1.

    Example:
        >>> half_pixel_matrix(2, 4)
        array([[1.  , 0.  ],
               [0.75, 0.25],
               [0.25, 0.75],
               [0.  , 1.  ]], dtype=float32)

    References:
        ``torch.nn.functional.interpolate(mode="bilinear", align_corners=False)``; ``cv2.resize``.
    """
    _require_lengths(source, target)
    positions = (np.arange(target) + 0.5) * (source / target) - 0.5
    return _linear_matrix(np.clip(positions, 0, source - 1), source)


def _linear_matrix(positions: np.ndarray, source: int) -> np.ndarray:
    lower = np.minimum(np.floor(positions).astype(int), source - 1)
    fraction = (positions - lower).astype(np.float32)
    rows = np.arange(len(positions))
    matrix = np.zeros((len(positions), source), np.float32)
    matrix[rows, lower] += 1 - fraction
    matrix[rows, np.minimum(lower + 1, source - 1)] += fraction
    return matrix


def _area_matrix(source: int, target: int) -> np.ndarray:
    edges = np.arange(target + 1) * (source / target)
    samples = np.arange(source)
    covered = np.minimum(edges[1:, None], samples + 1) - np.maximum(edges[:-1, None], samples)
    weights = np.clip(covered, 0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _require_lengths(source: int, target: int) -> None:
    if source < 1 or target < 1:
        raise ValueError(f"Expected lengths of at least 1, got a resize from {source} to {target} instead.")

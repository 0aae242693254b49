"""Maps by what the scores do when parts of the image are hidden: occlusion and RISE.

Both take the model as a function ``scores_of(images)`` from variants of one image, ``(m, H, W, 3)``, to the scores
of all targets, ``(m, targets)``, and return maps ``(targets, H, W)`` at the image's resolution. They need no layer
and no gradient. Images have their channels last, and any number of other axes.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.attribution.channel_perturbation import StackScores, in_chunks
from gradcam_jax.attribution.resize_matrices import half_pixel_matrix


def occlusion_map(
    scores_of: StackScores,
    image: jax.Array,
    *,
    window: Sequence[int] = (15, 15),
    stride: Sequence[int] = (8, 8),
    fill: float = 0.0,
    chunk_size: int = 32,
) -> jax.Array:
    r"""Hides one window after the other, and gives each position the mean loss of the windows that hid it.

    .. math:: L_p = \frac{1}{|\{w \ni p\}|} \sum_{w \ni p} \big(y(X) - y(X \text{ with } w \text{ filled})\big)

    Args:
        scores_of: From images ``(m, H, W, 3)`` to scores ``(m, targets)``.
        image: What the model takes, preprocessed.
        window: Lengths of the window.
        stride: From one window to the next; the last ones are cut off at the edge.
        fill: What hides, in the values that the model takes: 0 is the mean colour of most preprocessings.
        chunk_size: Windows at once, at most.

    Returns:
        ``(targets, H, W)``; 0 where no window came.

    Raises:
        ValueError: If window or stride do not fit the image's axes.

    Example:
        >>> import jax.numpy as jnp
        >>> image = jnp.array([[[1.0], [2.0], [4.0]]])
        >>> occlusion_map(lambda x: jnp.sum(x, axis=(1, 2, 3))[:, None], image, window=(1, 2), stride=(1, 1))
        Array([[[3. , 4.5, 6. ]]], dtype=float32)

    References:
        Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, arXiv:1311.2901, section 3.
    """
    extent = image.shape[:-1]
    if not len(window) == len(stride) == len(extent) or min((*window, *stride)) < 1:
        raise ValueError(
            f"Expected a window and a stride with a length of 1 or more for each of the image's axes {extent}, "
            f"got {tuple(window)} and {tuple(stride)} instead."
        )
    hidden = [_windows(*lengths) for lengths in zip(extent, window, stride, strict=True)]
    counts = [len(rows) for rows in hidden]

    def occluded(number: jax.Array) -> jax.Array:
        mask = jnp.ones(extent, bool)
        for axis, place in enumerate(jnp.unravel_index(number, counts)):
            shape = [1] * len(extent)
            shape[axis] = -1
            mask &= jnp.asarray(hidden[axis])[place].reshape(shape)
        return jnp.where(mask[..., jnp.newaxis], jnp.asarray(fill, image.dtype), image)

    numbers = jnp.arange(math.prod(counts))
    scores = in_chunks(lambda some: scores_of(jax.vmap(occluded)(some)), numbers, chunk_size)
    losses = (scores_of(image[jnp.newaxis]) - scores).T
    losses = losses.reshape((losses.shape[0], *counts))
    covered = jnp.ones(counts, losses.dtype)
    for axis, rows in enumerate(hidden):
        matrix = jnp.asarray(rows, losses.dtype)
        losses = _along(matrix, losses, axis + 1)
        covered = _along(matrix, covered, axis)
    return losses / jnp.maximum(covered, jnp.ones_like(covered))[jnp.newaxis]


def rise_map(
    scores_of: StackScores,
    image: jax.Array,
    key: jax.Array,
    *,
    masks: int = 4000,
    cells: int = 7,
    share: float = 0.5,
    chunk_size: int = 32,
) -> jax.Array:
    r"""Shows the image through random masks, and averages the masks by the scores they leave.

    .. math:: L_p = \frac{1}{N q} \sum_{i=1}^N y(X \circ M_i)\, M_i(p)

    A mask is a grid of cells, each shown with the probability q, enlarged linearly and shifted at random.

    Args:
        scores_of: From images ``(m, H, W, 3)`` to scores ``(m, targets)``; the paper's are probabilities.
        image: What the model takes, preprocessed.
        key: PRNG key.
        masks: Their number N.
        cells: Of a mask, along each axis.
        share: The probability q that a cell is shown.
        chunk_size: Masks at once, at most.

    Returns:
        ``(targets, H, W)``.

    References:
        Petsiuk et al., RISE, arXiv:1806.07421, Eq. 6.
    """
    if masks < 1 or cells < 1 or not 0 < share < 1:
        raise ValueError(f"Expected masks and cells from 1 and a share in (0, 1), got {(masks, cells, share)}.")
    extent = image.shape[:-1]
    lengths = [-(-length // cells) for length in extent]  # of a cell, in pixels

    def mask_of(key: jax.Array) -> jax.Array:
        grid_key, *shift_keys = jax.random.split(key, 1 + len(extent))
        mask = jax.random.bernoulli(grid_key, share, (cells,) * len(extent)).astype(jnp.float32)
        for axis, length in enumerate(lengths):
            mask = _along(jnp.asarray(half_pixel_matrix(cells, (cells + 1) * length)).T, mask, axis)
        shifts = [jax.random.randint(key, (), 0, most) for key, most in zip(shift_keys, lengths, strict=True)]
        return jax.lax.dynamic_slice(mask, shifts, extent)

    def weighted(some: jax.Array) -> jax.Array:
        shown = jax.vmap(mask_of)(some)
        scores = scores_of(image[jnp.newaxis] * shown[..., jnp.newaxis].astype(image.dtype))
        return jnp.einsum("mt,m...->t...", scores, shown, precision=jax.lax.Precision.HIGHEST)[jnp.newaxis]

    # A chunk gives one sum; the masks are drawn where they are needed, and never all there.
    chunk_size = min(chunk_size, masks)
    whole, rest = divmod(masks, chunk_size)
    keys = jax.random.split(key, masks)
    total = jax.lax.map(weighted, keys[: whole * chunk_size].reshape((whole, chunk_size))).sum((0, 1))
    if rest:
        total = total + weighted(keys[whole * chunk_size :])[0]
    return total / (masks * share)


def _windows(length: int, window: int, stride: int) -> np.ndarray:
    """Marks what each window of one axis hides, ``(windows, length)`` bool."""
    count = max(-(-(length - window) // stride), 0) + 1
    starts = np.arange(count)[:, np.newaxis] * stride
    places = np.arange(length)[np.newaxis]
    return (starts <= places) & (places < starts + window)


def _along(matrix: jax.Array, values: jax.Array, axis: int) -> jax.Array:
    """Multiplies one axis of length n by a matrix ``(n, m)``."""
    product = jnp.tensordot(matrix, values, axes=(0, axis), precision=jax.lax.Precision.HIGHEST)
    return jnp.moveaxis(product, 0, axis)

"""Maps that know nothing of the model: what an explanation has to beat."""

import jax
import jax.numpy as jnp
import numpy as np


def centre_map(shape: tuple[int, int]) -> np.ndarray:
    """Returns a Gaussian at the centre, where photographers put objects; its deviation is a quarter of each side.

    Args:
        shape: Height and width.

    Returns:
        ``(h, w)`` float32, in (0, 1]; highest at the centre.
    """
    rows, columns = ((np.arange(length) + 0.5) / length - 0.5 for length in shape)
    return np.exp(-(rows[:, np.newaxis] ** 2 + columns**2) / (2 * 0.25**2)).astype(np.float32)


def uniform_map(shape: tuple[int, int]) -> np.ndarray:
    """Returns ones, ``(h, w)`` float32: every share is the object's area. Its highest position is the first."""
    return np.ones(shape, np.float32)


def random_map(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Returns independent uniform numbers in [0, 1), float32 of a shape: draw them at the layer's resolution."""
    return jax.random.uniform(key, shape, jnp.float32)

"""Maximum over windows side by side, with a gradient that is one elementwise pass.

XLA's own way back selects and scatters, window by window: on CPUs a fifth of VGG's guided backpropagation.
"""

import jax
import jax.numpy as jnp


@jax.custom_vjp
def tiled_max_pool(tiles: jax.Array) -> jax.Array:
    """Takes the maximum of every tile; the gradient goes to the first of equal values, row by row.

    Args:
        tiles: ``(..., rows, window, columns, window, C)``.

    Returns:
        ``(..., rows, columns, C)``.
    """
    return jnp.max(tiles, axis=(-4, -2))


def _forward(tiles: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    pooled = tiled_max_pool(tiles)
    return pooled, (tiles, pooled)


def _backward(residuals: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array]:
    tiles, pooled = residuals
    window = tiles.shape[-2]
    left = gradient  # what no value of the tile has taken yet
    rows = []
    for row in range(window):
        taken = []
        for column in range(window):
            highest = tiles[..., row, :, column, :] == pooled
            taken.append(jnp.where(highest, left, jnp.zeros_like(left)))
            left = jnp.where(highest, jnp.zeros_like(left), left)
        rows.append(jnp.stack(taken, axis=-2))
    return (jnp.stack(rows, axis=-4),)


tiled_max_pool.defvjp(_forward, _backward)

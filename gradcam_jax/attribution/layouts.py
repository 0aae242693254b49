"""How a layer's axes are arranged: from what a layer holds for one example to ``(positions ..., channels)``.

A layout is a function of arrays that moves axes and leaves values alone; an explanation applies it to a layer's
activations and to its gradients. Flax's own layers need none, whether of signals, images or volumes. A model may
need one of its own: any function of one example's array will do.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

Layout = Callable[[jax.Array], jax.Array]


def channels_last(values: jax.Array) -> jax.Array:
    """Returns values ``(..., k)`` as they are: Flax's layout, of any number of spatial axes.

    Args:
        values: What a layer holds for one example, or its gradient.
    """
    return values


def channels_first(values: jax.Array) -> jax.Array:
    """Moves the channels of values ``(k, ...)`` to the end: PyTorch's and Equinox's layout.

    Args:
        values: What a layer holds for one example, or its gradient.

    Example:
        >>> import jax.numpy as jnp
        >>> channels_first(jnp.ones((8, 5, 7))).shape
        (5, 7, 8)
    """
    return jnp.moveaxis(values, 0, -1)


def token_grid(class_tokens: int = 1, grid: tuple[int, ...] | None = None) -> Layout:
    """Returns the layout of a transformer's tokens ``(class tokens + positions, k)``.

    Args:
        class_tokens: How many tokens before the positions stand for none of them: one in ViT, none in Swin, five
            in DINOv2 with registers.
        grid: Rows and columns of the positions; None for a square.

    Returns:
        A function of values ``(tokens, k)`` that returns ``(rows, columns, k)``; equal for the same arguments.
        It raises ValueError if there are other than ``class_tokens + rows * columns`` tokens.

    Example:
        >>> import jax.numpy as jnp
        >>> token_grid()(jnp.ones((197, 8))).shape, token_grid(0, (2, 3))(jnp.ones((6, 8))).shape
        ((14, 14, 8), (2, 3, 8))
    """
    return TokenGrid(class_tokens, grid)


@dataclasses.dataclass(frozen=True)
class TokenGrid:
    """The layout that :func:`token_grid` returns; equal for the same arguments.

    Attributes:
        class_tokens: How many tokens before the positions stand for none of them.
        grid: Rows and columns of the positions; None for a square.
    """

    class_tokens: int
    grid: tuple[int, ...] | None

    def __call__(self, values: jax.Array) -> jax.Array:
        """Arranges values ``(tokens, k)`` as ``(rows, columns, k)``."""
        positions = values.shape[0] - self.class_tokens
        side = math.isqrt(max(positions, 0))
        shape = self.grid or (side, side)
        if values.ndim != 2 or math.prod(shape) != positions:
            expected = "a square number of positions" if self.grid is None else f"{math.prod(shape)} positions"
            raise ValueError(
                f"Expected tokens (class tokens + positions, channels) with {self.class_tokens} class tokens and "
                f"{expected}, got shape {values.shape} instead: token_grid(class_tokens, (rows, columns))."
            )
        return values[self.class_tokens :].reshape((*shape, values.shape[-1]))


def map_of(
    method: Callable[..., jax.Array], layout: Layout, activations: jax.Array, gradients: jax.Array
) -> jax.Array:
    """Makes one layer's map of one example, signed.

    Args:
        method: Makes a map ``(h, w)`` from values ``(h, w, k)``, for example :func:`gradcam_jax.grad_cam`.
        layout: Arranges the layer's values as ``(positions ..., channels)``.
        activations: What the layer holds.
        gradients: The gradient of a score there, of the same shape.

    Returns:
        The map, with the positions' own axes: one of a signal, three of a volume. The sums of every method run
        over all positions, however many axes they lie on.
    """
    activations, gradients = layout(activations), layout(gradients)
    *positions, channels = activations.shape
    if len(positions) in (0, 2):
        return method(activations, gradients, rectify=False)
    row = (1, math.prod(positions), channels)
    return method(activations.reshape(row), gradients.reshape(row), rectify=False).reshape(positions)

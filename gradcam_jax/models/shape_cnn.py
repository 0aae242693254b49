"""A small VGG for 64x64 pictures of simple shapes, built so that its maps are on the shapes.

A shape is recognised by its outline, which features can detect from outside as well as from inside. So the outside
has no signal: the background is 0, convolutions have no bias, and poolings average, since a maximum would move a
shape's colour past its edge. The last features are smoothed over ten pixels, so that the model measures how much
of an outline is near, and the later layers get only each feature's maximum over positions.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.models.layers import FunctionLayer, Relu, require_image


class ShapeCnn(nn.Module):
    """Convolutional blocks with poolings between them, a smoothing, a global maximum, one fully connected layer.

    Layers: ``conv1_1``, ``relu1_1``, ..., ``pool1``, ..., ``smooth``, ``peak``, ``fc``, ``relu_fc``.

    Attributes:
        convolutions: Number of convolutions of each block.
        channels: Channels of each block.
        hidden: Number of features returned.
        deviation: Standard deviation of the smoothing Gaussian, in positions of the last block.
    """

    convolutions: tuple[int, ...] = (1, 1, 1)
    channels: tuple[int, ...] = (8, 16, 32)
    hidden: int = 64
    deviation: float = 2.5

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps preprocessed images ``(..., H, W, 3)`` to features ``(..., hidden)``."""
        require_image(x, "ShapeCnn")
        for block, (count, channels) in enumerate(zip(self.convolutions, self.channels, strict=True), 1):
            if block > 1:
                x = FunctionLayer(halve, name=f"pool{block - 1}")(x)
            for index in range(1, count + 1):
                x = nn.Conv(channels, (3, 3), padding=1, use_bias=False, name=f"conv{block}_{index}")(x)
                x = Relu(name=f"relu{block}_{index}")(x)
        x = FunctionLayer(lambda x: gaussian_blur(x, self.deviation), name="smooth")(x)
        x = FunctionLayer(lambda x: jnp.max(x, axis=(-3, -2)), name="peak")(x)
        return Relu(name="relu_fc")(nn.Dense(self.hidden, name="fc")(x))


def halve(x: jax.Array) -> jax.Array:
    """Averages ``(..., h, w, c)`` over squares of 2x2, without an odd last row or column.

    Example:
        >>> halve(jnp.arange(4.0).reshape(2, 2, 1)).tolist()
        [[[1.5]]]
    """
    height, width = (length // 2 for length in x.shape[-3:-1])
    even = x[..., : 2 * height, : 2 * width, :]
    return jnp.mean(even.reshape((*x.shape[:-3], height, 2, width, 2, x.shape[-1])), axis=(-4, -2))


def gaussian_blur(x: jax.Array, deviation: float) -> jax.Array:
    """Smooths ``(..., h, w, c)`` with a Gaussian over the positions, and zeros past the edge.

    Args:
        x: ``(..., h, w, c)``.
        deviation: Standard deviation, in positions.
    """
    rows, columns = (jnp.asarray(_gaussian_matrix(length, deviation), x.dtype) for length in x.shape[-3:-1])
    return jnp.einsum("yh,...hwc,xw->...yxc", rows, x, columns)


def _gaussian_matrix(length: int, deviation: float) -> np.ndarray:
    distance = np.subtract.outer(np.arange(length), np.arange(length)) / deviation
    return np.exp(-(distance**2) / 2) / (deviation * np.sqrt(2 * np.pi))

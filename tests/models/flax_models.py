"""Models as Flax's own tutorials write them: nothing in them is made for this package."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


class Tutorial(nn.Module):
    """The CNN of Flax's MNIST tutorial, narrower: rectifiers inline, pooled, flattened by its batch axis."""

    classes: int = 7

    @nn.compact
    def __call__(self, x: jax.Array) -> Any:
        x = nn.relu(nn.Conv(features=4, kernel_size=(3, 3), name="conv1")(x))
        x = nn.avg_pool(x, window_shape=(2, 2), strides=(2, 2))
        x = nn.relu(nn.Conv(features=6, kernel_size=(3, 3), name="conv2")(x))
        x = nn.avg_pool(x, window_shape=(2, 2), strides=(2, 2))
        x = x.reshape((x.shape[0], -1))
        x = nn.relu(nn.Dense(features=10, name="hidden")(x))
        return nn.Dense(features=self.classes, name="logits")(x)


class WithBatchNorm(nn.Module):
    """A CNN whose ``train`` must be given, with batch normalisation and dropout."""

    classes: int = 7

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> Any:
        x = nn.BatchNorm(use_running_average=not train, name="norm")(nn.Conv(4, (3, 3), name="conv")(x))
        x = nn.Dropout(0.5, deterministic=not train)(nn.relu(x))
        x = jnp.mean(nn.relu(nn.Conv(6, (3, 3), strides=2, name="last")(x)), axis=(1, 2))
        return nn.Dense(self.classes, name="logits")(x)

"""Models of a user's own, as functions that return them: what ``tests.zoo.own_models:linen`` names."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx

import gradcam_jax as gc
from gradcam_jax.images.preprocessing import MINUS_ONE_TO_ONE, Preprocessing, Resized, stretch_bicubic
from gradcam_jax.models.efficientnet_lite import efficientnet_lite0
from tests.models.nnx_vit import VisionTransformer

SIZE, CLASSES = 40, 5
NAMES = ("ant", "bee", "cat", "dog", "eel")


def flipped(photo, size, *options) -> Resized:
    """A resize of one's own: upside down."""
    resized = stretch_bicubic(photo, size, *options)
    return resized._replace(image=resized.image[::-1].copy())


SMALL = MINUS_ONE_TO_ONE._replace(size=SIZE)
FLIPPED = Preprocessing("", SIZE, flipped, "BGR", 1.0, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))


class Net(nn.Module):
    """As people write one: batch normalisation, dropout, a required ``train``, an inline ReLU."""

    @nn.compact
    def __call__(self, x, train):
        x = nn.Conv(8, (3, 3), strides=2, name="first")(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, name="norm")(x))
        x = nn.relu(nn.Conv(12, (3, 3), strides=2, name="second")(x))
        x = x.mean((1, 2)).reshape((x.shape[0], -1))
        return nn.Dense(CLASSES, name="head")(nn.Dropout(0.5, deterministic=not train)(x))


class NNXNet(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.convs = nnx.List(
            [nnx.Conv(3, 8, (3, 3), strides=2, rngs=rngs), nnx.Conv(8, 12, (3, 3), strides=2, rngs=rngs)]
        )
        self.norm = nnx.BatchNorm(12, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.head = nnx.Linear(12, CLASSES, rngs=rngs)

    def __call__(self, x):
        for conv in self.convs:
            x = nnx.relu(conv(x))
        return self.head(self.dropout(self.norm(x)).mean((1, 2)))


def linen():
    return Net()


def linen_variables(seed=0) -> Any:
    """Random variables, running statistics and biases too."""
    variables = Net().init(jax.random.key(0), jnp.ones((1, SIZE, SIZE, 3)), False)
    leaves, structure = jax.tree.flatten(variables)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    drawn = [
        jax.random.uniform(k, leaf.shape, minval=-0.4, maxval=0.6) for k, leaf in zip(keys, leaves, strict=True)
    ]
    variables = structure.unflatten(drawn)
    return {**variables, "batch_stats": jax.tree.map(lambda leaf: jnp.abs(leaf) + 0.5, variables["batch_stats"])}


def nnx_model(seed=0) -> NNXNet:
    """A model with random running statistics."""
    model = NNXNet(nnx.Rngs(seed))
    model.norm.mean[...] = jax.random.uniform(jax.random.key(seed), (12,))
    return model


def with_variables():
    return Net(), linen_variables()


def as_functions():
    variables = linen_variables()
    forward, head = gc.tapped(Net(), variables, "second.relu", train=False), variables["params"]["head"]
    stages = {
        "features": lambda image: forward({}, image)[1]["second.relu"],
        "head": lambda features: features.mean((0, 1)) @ head["kernel"] + head["bias"],
    }
    return gc.tapped_functions(stages, ())


def as_tapped():
    return gc.tapped(Net(), linen_variables(), train=False)


def lite_of_ten():
    return efficientnet_lite0(classes=10)


def vit():
    return VisionTransformer((SIZE, SIZE), 8, rngs=nnx.Rngs(0))


def reads_itself(checkpoint):
    return Net(), gc.zoo.read_checkpoint(checkpoint)[0] and linen_variables()


def two_outputs():
    return gc.tapped_functions({"net": lambda image: (image.mean((0, 1)), image.sum())}, ())


def needs_more(width, depth=3):
    return width, depth


def nothing():
    return None


NO_FUNCTION = 3

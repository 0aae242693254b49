"""One network written three ways, with the same weights: in Linen, in NNX and as plain functions."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx

import gradcam_jax as gc

LAYERS = ("trunk", "late")
"""The mapped layers, whose names are the same in all three."""


class Trunk(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.max_pool(nn.relu(nn.Conv(4, (3, 3), name="conv")(x)), (2, 2), (2, 2))


class LinenNet(nn.Module):
    trunk_class: type[nn.Module] = Trunk

    @nn.compact
    def __call__(self, x):
        x = self.trunk_class(name="trunk")(x)
        x = jnp.maximum(nn.Conv(6, (3, 3), name="late")(x), 0)
        return nn.Dense(5, name="head")(x.reshape((x.shape[0], -1)))


class NNXTrunk(nnx.Module):
    def __init__(self, *, rngs):
        self.conv = nnx.Conv(3, 4, (3, 3), rngs=rngs)

    def __call__(self, x):
        return nnx.max_pool(nnx.relu(self.conv(x)), (2, 2), (2, 2))


class RematTrunk(NNXTrunk):
    __call__ = nnx.remat(NNXTrunk.__call__)


class NNXNet(nnx.Module):
    def __init__(self, trunk, *, rngs):
        self.trunk = trunk(rngs=rngs)
        self.late, self.head = nnx.Conv(4, 6, (3, 3), rngs=rngs), nnx.Linear(6 * 16, 5, rngs=rngs)

    def __call__(self, x):
        x = jnp.maximum(self.late(self.trunk(x)), 0)
        return self.head(x.reshape(x.shape[0], -1))


@functools.cache
def variables():
    return LinenNet().init(jax.random.key(0), jnp.ones((1, 8, 8, 3)))


def linen(layers, remat):
    return gc.tapped(LinenNet(nn.remat(Trunk) if remat else Trunk), variables(), layers)


def nnx_model(remat=False):
    model, params = NNXNet(RematTrunk if remat else NNXTrunk, rngs=nnx.Rngs(0)), variables()["params"]
    for layer, own in (
        (model.trunk.conv, params["trunk"]["conv"]),
        (model.late, params["late"]),
        (model.head, params["head"]),
    ):
        layer.kernel[...], layer.bias[...] = own["kernel"], own["bias"]
    return model


def nnx_net(layers, remat):
    return gc.tapped(nnx_model(remat), layers)


def functions(layers, remat):
    params = variables()["params"]

    def convolve(x, layer):
        axes = ("NHWC", "HWIO", "NHWC")
        y = jax.lax.conv_general_dilated(x[None], layer["kernel"], (1, 1), "SAME", dimension_numbers=axes)[0]
        return y + layer["bias"].reshape(1, 1, -1)

    def trunk(x):
        x = convolve(x, params["trunk"]["conv"])
        x = jnp.where(x > 0, x, 0)
        return x.reshape(4, 2, 4, 2, 4).max((1, 3))

    def head(x):
        return jax.nn.relu(x).reshape(-1) @ params["head"]["kernel"] + params["head"]["bias"]

    late = {"trunk": jax.checkpoint(trunk) if remat else trunk, "late": lambda x: convolve(x, params["late"])}
    return gc.tapped_functions({**late, "head": head}, layers)


WAYS = {"linen": linen, "nnx": nnx_net, "functions": functions}

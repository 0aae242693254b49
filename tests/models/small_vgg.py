"""A VGG small enough for exhaustive tests, and the same net as a sequence of plain functions."""

import functools

import jax
import jax.numpy as jnp

from gradcam_jax.models.layers import flatten, max_pool_ceil
from gradcam_jax.models.vgg import VGG
from tests.comparison import kaiming_variables

SIZE = 32
SETTINGS = {"convolutions": (1, 1, 1), "channels": (4, 6, 8), "hidden": 16, "classes": 7, "input_size": SIZE}


class SmallVGG(VGG):
    """A VGG that is also a sequence of plain functions, written without Flax."""

    @property
    def stage_names(self):
        """Every stage's name, in order."""
        blocks = [f"{kind}{b}" for b in range(1, 4) for kind in ("conv", "relu", "pool")]
        named = [name + "_1" if "pool" not in name else name for name in blocks]
        return [*named, "flatten", "fc6", "relu6", "fc7", "relu7", "fc8"]

    def stages(self, variables):
        """Each stage as a function of the one before."""
        params = variables["params"]

        def convolve(x, name):
            axes = ("NHWC", "HWIO", "NHWC")
            kernel = params[name]["kernel"]
            y = jax.lax.conv_general_dilated(x[None], kernel, (1, 1), "SAME", dimension_numbers=axes)[0]
            return y + params[name]["bias"].reshape(1, 1, -1)

        def dense(x, name):
            return x @ params[name]["kernel"] + params[name]["bias"]

        functions = {}
        for name in self.stage_names:
            if name.startswith("conv"):
                functions[name] = functools.partial(convolve, name=name)
            elif name.startswith("relu"):
                functions[name] = lambda x: jnp.maximum(x, 0)
            elif name.startswith("pool"):
                functions[name] = functools.partial(max_pool_ceil, window=2, stride=2)
            elif name == "flatten":
                functions[name] = flatten
            else:
                functions[name] = functools.partial(dense, name=name)
        return functions


@functools.cache
def small_vgg():
    """Returns the model with He-normal weights."""
    model = SmallVGG(**SETTINGS)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.ones((SIZE, SIZE, 3)))
    return model, kaiming_variables(shapes)

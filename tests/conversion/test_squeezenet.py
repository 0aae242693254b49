"""Published Caffe weights that are at hand: SqueezeNet sees the cat and the dog, through Caffe's recipe.

The net is not one of the project's, so it lives here. Its training subtracted 104, 117, 123 (BGR): within half a
grey level the mean pixel of the recipe for bvlc_alexnet.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.conversion.rules import Rule, as_is, convert, convolution, variable_shapes
from gradcam_jax.images.photos import read_photo
from gradcam_jax.images.preprocessing import CAFFE_ALEXNET, to_network
from gradcam_jax.models.layers import max_pool_ceil
from gradcam_jax.text.ilsvrc import imagenet_classes
from gradcam_jax.zoo.originals import read_file
from tests.comparison import SHARED_DATA, needs_shared_data

SQUEEZES = (16, 16, 32, 32, 48, 48, 64, 64)  # fire2 to fire9; each expands to four times as many, twice


class SqueezeNet(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = max_pool_ceil(nn.relu(nn.Conv(96, (7, 7), 2, padding=0, name="conv1")(x)), 3, 2)
        for number, channels in enumerate(SQUEEZES, 2):
            x = nn.relu(nn.Conv(channels, (1, 1), name=f"fire{number}_conv1x1_1")(x))
            narrow = nn.Conv(4 * channels, (1, 1), name=f"fire{number}_conv1x1_2")(x)
            wide = nn.Conv(4 * channels, (3, 3), padding=1, name=f"fire{number}_conv3x3_2")(x)
            x = nn.relu(jnp.concatenate([narrow, wide], axis=-1))
            if number in (4, 8):
                x = max_pool_ceil(x, 3, 2)
        return nn.relu(nn.Conv(1000, (1, 1), padding=1, name="conv_final")(x)).mean((-3, -2))


def rules():
    names = ["conv1", "conv_final"]
    names += [f"fire{n}/{part}" for n in range(2, 10) for part in ("conv1x1_1", "conv1x1_2", "conv3x3_2")]
    return [
        Rule(f"{name}.{source}", f"params/{name.replace('/', '_')}/{target}", transform)
        for name in names
        for source, target, transform in (("w", "kernel", convolution), ("b", "bias", as_is))
    ]


@needs_shared_data
@pytest.mark.parametrize(
    ("photo", "wanted"),
    [
        ("cat_dog.jpg", {"boxer", "bull mastiff", "tiger cat", "tabby", "Egyptian cat"}),
        ("tabbycat_dog.jpg", {"tabby", "tiger cat", "Egyptian cat", "Border collie", "collie"}),
        ("bathroom.jpg", {"washbasin", "toilet seat", "soap dispenser", "bathtub", "plunger"}),
    ],
)
def test_photos_are_named_sensibly(photo, wanted):
    file = read_file(SHARED_DATA / "formats" / "squeezenet" / "squeezenet_v1.0.npz")
    assert file.format == "npz"
    size = CAFFE_ALEXNET.size
    expected = variable_shapes(SqueezeNet(), jax.ShapeDtypeStruct((size, size, 3), jnp.float32))
    variables = convert(file.arrays, rules(), expected)
    resized = CAFFE_ALEXNET.resize(read_photo(SHARED_DATA / "original_images" / photo), size)
    logits = jax.jit(SqueezeNet().apply)(variables, to_network(resized.image, CAFFE_ALEXNET))
    top = [imagenet_classes()[index].name for index in np.argsort(np.asarray(logits))[::-1][:5]]
    assert len(wanted & set(top)) >= 2, top

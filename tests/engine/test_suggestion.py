"""Which layer is suggested, and that it is one that can be mapped."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import gradcam_jax as gc
from tests.comparison import random_images
from tests.models.flax_models import Tutorial, WithBatchNorm
from tests.models.nnx_vit import VisionTransformer
from tests.models.small_vgg import small_vgg
from tests.zoo.from_shapes import load_shapes


@pytest.fixture(autouse=True)
def standard_promotion():
    """As users have it."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def initialised(model, image, **options):
    return model.init(jax.random.key(0), image[None], **options)


def test_the_last_layer_before_the_pooling():
    image = jnp.asarray(random_images(1, 16)[0])
    assert gc.suggest_layer(gc.tapped(*small_vgg()), jnp.ones((32, 32, 3))).layer == "pool3"
    forward = gc.tapped(Tutorial(), initialised(Tutorial(), image))
    assert gc.suggest_layer(forward, image).layer == "conv2.relu"
    forward = gc.tapped(WithBatchNorm(), initialised(WithBatchNorm(), image, train=False), train=False)
    suggestion = gc.suggest_layer(forward, image)
    assert suggestion.layer == "last.relu"
    assert "x" in suggestion.reason
    assert "6 channels" in suggestion.reason


def test_a_transformers_last_tokens_count_for_nothing():
    model = VisionTransformer((16, 24), 4, rngs=nnx.Rngs(0))
    image = jnp.asarray(random_images(1, 16, 24)[0])
    suggestion = gc.suggest_layer(gc.tapped(model), image)
    assert suggestion.layer == "encoder.layers.1.norm1"
    assert "25 tokens of 12 channels" in suggestion.reason
    cam = gc.explain(
        gc.tapped(model, suggestion.layer), image[None], gc.top_k(1), layout=gc.token_grid(1, (4, 6))
    ).cam
    assert float(jnp.abs(cam).max()) > 0


@pytest.mark.parametrize("extent", [(17,), (6, 7, 8)])
def test_signals_and_volumes(extent):
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.relu(nn.Conv(4, (3,) * len(extent), strides=(2,) * len(extent), name="conv")(x))
            return nn.Dense(3)(x.mean(tuple(range(1, x.ndim - 1))))

    image = jax.random.normal(jax.random.key(0), (*extent, 2))
    assert gc.suggest_layer(gc.tapped(Net(), initialised(Net(), image)), image).layer == "conv.relu"


def test_no_layer_with_a_spatial_extent_is_an_error():
    model, x = nn.Sequential([nn.Dense(4), nn.relu, nn.Dense(2)]), jnp.ones(5)
    with pytest.raises(gc.InputError, match="None of the layers has a spatial extent: layers_0"):
        gc.suggest_layer(gc.tapped(model, initialised(model, x)), x)


def test_the_zoos_default_model():
    loaded = load_shapes("efficientnet_lite0")
    zeros = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.1, leaf.dtype), loaded.variables)
    shape = jax.ShapeDtypeStruct((64, 64, 3), jnp.float32)
    assert gc.suggest_layer(gc.tapped(loaded.model, zeros), shape).layer == loaded.entry.layer

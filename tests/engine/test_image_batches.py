"""A batch explained as the platform runs it fastest: equal to its images explained one by one."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.engine.image_batches import explain_images, map_images, map_targets
from gradcam_jax.models.layers import Relu
from gradcam_jax.models.vgg import VGG
from gradcam_jax.tasks.classification import class_score
from tests.comparison import assert_close, kaiming_variables, random_images
from tests.models.small_vgg import small_vgg

LABELS = np.array([[0, 1], [2, 3], [6, 5]])


class Bypass(nn.Module):
    """A net whose head sees more than the mapped layer: a skip connection passes it by."""

    relu: nn.Module = jax.nn.relu  # type: ignore[assignment]

    @nn.compact
    def __call__(self, x):
        x = Relu(self.relu, name="first")(nn.Conv(4, (3, 3), name="stem")(x))
        x = x + Relu(self.relu, name="second")(nn.Conv(4, (3, 3), name="inner")(x))
        x = Relu(self.relu, name="third")(x)
        return nn.Dense(7)(jnp.mean(x, axis=(-3, -2)))


def bypass():
    model = Bypass()
    return model, kaiming_variables(jax.eval_shape(model.init, jax.random.key(0), jnp.ones((32, 32, 3))))


@pytest.mark.parametrize(("build", "layer"), [(small_vgg, "relu3_1"), (small_vgg, "conv2_1"), (bypass, "second")])
def test_a_batch_equals_its_images(build, layer):
    model, variables = build()
    images, labels = jnp.asarray(random_images(3, 32)), jnp.asarray(LABELS)
    arguments = (layer, class_score, images, labels)
    maps = jax.jit(lambda variables: map_targets(model, variables, *arguments))(variables)
    whole = jax.jit(lambda variables: explain_images(model, variables, *arguments))(variables)
    one = jax.jit(lambda image, labels: gc.explain_classes(model, variables, layer, image, labels))
    for index in range(3):
        alone = one(images[index], labels[index])
        for ours, theirs in zip(whole, alone, strict=True):
            assert_close(ours[index], theirs, 5e-6)
        for name in ("outputs", "scores", "cam"):
            assert_close(getattr(maps, name)[index], getattr(alone, name), 5e-6)


def test_targets_may_hang_on_the_outputs():
    model, variables = small_vgg()
    images = jnp.asarray(random_images(3, 32))
    given = jnp.array([[-1, -1], [4, 2], [-1, 0]])

    def choose(logits, given):
        return jnp.where(given < 0, jax.lax.top_k(logits, 2)[1], given)

    for function in (map_targets, explain_images):
        found = function(model, variables, "relu3_1", class_score, images, given, choose=choose)
        labels = jax.vmap(choose)(found.outputs, given)
        expected = function(model, variables, "relu3_1", class_score, images, labels)
        np.testing.assert_array_equal(found.cam, expected.cam)
        assert (np.asarray(labels[1]) == (4, 2)).all()
        assert labels[0, 0] == jnp.argmax(found.outputs[0])


def test_a_loop_on_cpus_the_whole_batch_elsewhere():
    traced = jax.jit(lambda x: map_images(jnp.sin, x)).trace(jnp.ones((5, 2)))
    assert "while" in traced.lower(lowering_platforms=("cpu",)).as_text()
    assert "while" not in traced.lower(lowering_platforms=("cuda",)).as_text()


def test_on_cpus_memory_does_not_grow_by_the_trunks_activations():
    model = VGG(convolutions=(1, 1), channels=(64, 4), hidden=8, classes=5, input_size=32)
    variables = variable_shapes(model, jax.ShapeDtypeStruct((32, 32, 3), jnp.float32))

    def temporary(count):
        images, labels = jnp.zeros((count, 32, 32, 3)), jnp.zeros((count, 1), int)
        run = jax.jit(lambda v, x, y: map_targets(model, v, "relu2_1", class_score, x, y).cam)
        return run.lower(variables, images, labels).compile().memory_analysis().temp_size_in_bytes

    activation = 32 * 32 * 64 * 4  # of conv1_1, for one image
    assert temporary(64) - temporary(32) < 32 * activation / 4

"""A model made ready for many calls: the same answers, and a trunk in bfloat16 that ends at the layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from gradcam_jax.models.vgg import VGG
from tests.comparison import assert_close, kaiming_variables, random_images
from tests.engine.test_many_classes import build
from tests.models.small_vgg import small_vgg

LABELS = jnp.array([[0, 1], [6, 5]])


def images(size=32):
    return jnp.asarray(random_images(2, size))


@pytest.mark.parametrize("guided", [False, True])
def test_a_trunk_in_bfloat16_leaves_head_gradients_and_maps_in_float32(guided):
    forward = gc.tapped(*small_vgg(), "relu3_1")
    rounded = gc.prepared(forward, images()[0], precision="bfloat16")
    params = rounded.variables["variables"]["params"]
    dtypes = {name: leaf["kernel"].dtype.name for name, leaf in params.items()}
    assert dtypes == {
        "conv1_1": "bfloat16", "conv2_1": "bfloat16", "conv3_1": "bfloat16",
        "fc6": "float32", "fc7": "float32", "fc8": "float32",
    }  # fmt: skip
    ours = gc.explain(rounded, images(), LABELS, guided=guided)
    for part in jax.tree.leaves(ours._replace(targets=None)):
        assert part.dtype == jnp.float32
    exact = gc.explain(forward, images(), LABELS)
    assert_close(ours.outputs, exact.outputs, 0.05)  # 8 bits: 0.4 % a rounding
    assert not np.array_equal(ours.outputs, exact.outputs)


def test_what_follows_a_trunk_in_bfloat16_is_the_float32_head_of_its_activation():
    forward = gc.tapped(*small_vgg(), "relu3_1")
    rounded = gc.prepared(forward, images()[0], precision="bfloat16")
    ours = gc.explain(rounded, images(), LABELS)
    for index, image in enumerate(images()):
        with jax.numpy_dtype_promotion("standard"):
            _, activations = rounded({}, image.astype(jnp.bfloat16))
        assert activations["relu3_1"].dtype == jnp.bfloat16
        activation = activations["relu3_1"].astype(jnp.float32)
        for target, label in enumerate(LABELS[index]):
            head = forward.resumed("relu3_1")
            outputs, _, gradients = gc.layer_grads(head, lambda y, label=label: y[label], activation, image)
            cam = gc.grad_cam(activation, gradients["relu3_1"], rectify=False)
            assert_close(ours.outputs[index], outputs, 2e-6)
            assert_close(ours.cam[index, target], cam, 2e-6)


def test_statistics_of_batch_normalisation_stay_float32():
    model, variables, layer, pictures, _ = build("efficientnet")
    rounded = gc.prepared(gc.tapped(model, variables, layer), pictures[0], precision="bfloat16")
    own = rounded.variables["variables"]
    assert {leaf.dtype.name for leaf in jax.tree.leaves(own["batch_stats"])} == {"float32"}
    ours = gc.explain(rounded, pictures, LABELS)
    assert ours.cam.dtype == ours.outputs.dtype == jnp.float32
    assert_close(ours.cam, gc.explain(gc.tapped(model, variables, layer), pictures, LABELS).cam, 0.05)


def test_the_callers_variables_stay_as_they_are():
    model, variables = small_vgg()
    before = jax.tree.map(np.array, variables)
    gc.prepared(gc.tapped(model, variables, "relu3_1"), images()[0], precision="bfloat16")
    gc.prepared(gc.tapped(model, variables, "relu3_1"), images()[0])
    jax.tree.map(np.testing.assert_array_equal, variables, before)
    assert set(variables) == {"params"}


def test_prepared_in_float32_explains_the_same():
    model = VGG(convolutions=(1, 2), channels=(32, 32), hidden=8, classes=7, input_size=16)
    variables = kaiming_variables(jax.eval_shape(model.init, jax.random.key(0), jnp.ones((16, 16, 3))))
    forward = gc.tapped(model, variables, "relu2_2")
    ready = gc.prepared(forward, images(16)[0])
    assert "prepared" in ready.variables["variables"]
    ours, expected = (gc.explain(either, images(16), LABELS, guided=True) for either in (ready, forward))
    for name in ("outputs", "scores", "cam", "guided_backprop"):
        assert_close(getattr(ours, name), getattr(expected, name), 5e-6)


def test_an_unknown_precision_lists_the_known():
    with pytest.raises(gc.InputError, match=r"There is no precision 'float16'.*bfloat16"):
        gc.prepared(gc.tapped(*small_vgg(), "relu3_1"), images()[0], precision="float16")


def test_a_trunk_in_bfloat16_ends_at_a_layer_that_must_be_named():
    with pytest.raises(gc.InputError, match="tapped at one layer of conv1_1"):
        gc.prepared(gc.tapped(*small_vgg()), images()[0], precision="bfloat16")

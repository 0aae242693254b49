"""A batch explained as the platform runs it fastest: equal to its images explained one by one."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.engine.batches import over_examples
from gradcam_jax.engine.core import explain_batch
from gradcam_jax.engine.dependence import Traced
from gradcam_jax.engine.spec import Spec, class_score
from gradcam_jax.models.layers import Relu
from gradcam_jax.models.vgg import VGG
from tests.comparison import assert_close, kaiming_variables, random_images
from tests.models.guided import guided_gradient
from tests.models.small_vgg import small_vgg

LABELS = np.array([[0, 1], [2, 3], [6, 5]])


class Bypass(nn.Module):
    """A net whose head sees more than the mapped layer: a skip connection passes it by."""

    @nn.compact
    def __call__(self, x):
        x = Relu(name="first")(nn.Conv(4, (3, 3), name="stem")(x))
        x = x + Relu(name="second")(nn.Conv(4, (3, 3), name="inner")(x))
        x = Relu(name="third")(x)
        return nn.Dense(7)(jnp.mean(x, axis=(-3, -2)))


def bypass():
    model = Bypass()
    return model, kaiming_variables(jax.eval_shape(model.init, jax.random.key(0), jnp.ones((32, 32, 3))))


@functools.cache
def run_one(build, layer):
    """Explains one image by the pure functions alone: no batch, no cut, no shared forward pass."""
    model, variables = build()
    forward = gc.tapped(model, variables, layer)

    @jax.jit
    def one(image, label):
        outputs, activations, gradients = gc.layer_grads(forward, lambda y: y[label], image)
        cam = gc.grad_cam(activations[layer], gradients[layer], rectify=False)
        return outputs, outputs[label], cam, guided_gradient(model, variables, lambda y: y[label], image)

    return one


@pytest.mark.parametrize(("build", "layer"), [(small_vgg, "relu3_1"), (small_vgg, "conv2_1"), (bypass, "second")])
def test_a_batch_equals_its_images(build, layer):
    forward = gc.tapped(*build(), layer)
    images, labels = jnp.asarray(random_images(3, 32)), jnp.asarray(LABELS)
    maps = gc.explain(forward, images, labels)
    whole = gc.explain(forward, images, labels, guided=True)
    assert maps.guided_backprop is None
    one = run_one(build, layer)
    for index in range(3):
        for target in range(2):
            outputs, score, cam, pixels = one(images[index], labels[index, target])
            for explanation in (maps, whole):
                assert_close(explanation.outputs[index], outputs, 5e-6)
                assert_close(explanation.scores[index, target], score, 5e-6)
                assert_close(explanation.cam[index, target], cam, 5e-6)
            assert_close(whole.guided_backprop[index, target], pixels, 5e-6)


def test_a_path_around_the_layer_is_detected():
    model, variables = bypass()
    image = jax.ShapeDtypeStruct((32, 32, 3), jnp.float32)

    def sees_the_image(layer):
        forward = gc.tapped(model, variables, layer)
        activation = jax.eval_shape(lambda x: forward({}, x)[1][layer], image)
        head = forward.at(()).resumed(layer)
        return Traced(lambda activation, image: head({}, activation, image)[0], activation, image).depends_on(1)

    assert {layer: sees_the_image(layer) for layer in ("stem", "first", "inner", "second", "third")} == {
        "stem": False, "first": False, "inner": True, "second": True, "third": False
    }  # fmt: skip


def test_a_path_around_the_layer_changes_guided_gradients():
    """The naive cut would leave out what passes the layer by, and the test above would not see it in the maps."""
    forward = gc.tapped(*bypass(), "second")
    images, labels = jnp.asarray(random_images(3, 32)), jnp.asarray(LABELS)
    explanation = gc.explain(forward, images, labels, guided=True)
    guided = forward.with_relu_rule(gc.guided)

    def through_the_layer_alone(image, label):
        activation, trunk_vjp = jax.vjp(lambda x: guided({}, x)[1]["second"], image)
        head = guided.at(()).resumed("second")
        return trunk_vjp(jax.grad(lambda a: head({}, a, image)[0][label])(activation))[0]

    alone = through_the_layer_alone(images[0], labels[0, 0])
    difference = float(jnp.abs(alone - explanation.guided_backprop[0, 0]).max())
    assert difference > 1e-2 * float(jnp.abs(alone).max())


def test_targets_may_depend_on_the_outputs():
    model, variables = small_vgg()
    forward = gc.tapped(model, variables, "relu3_1")
    images = jnp.asarray(random_images(3, 32))
    wanted = jnp.array([[-1, -1], [4, 2], [-1, 0]])

    def choose(logits, wanted):
        return jnp.where(wanted < 0, jax.lax.top_k(logits, 2)[1], wanted)

    for guided in (None, forward.with_relu_rule(gc.guided)):
        spec = Spec(class_score, (("cam", "relu3_1", gc.grad_cam),), choose, guided is not None)
        parts = explain_batch(forward, guided, images, wanted, (), spec)
        labels = jax.vmap(choose)(parts.outputs, wanted)
        expected = gc.explain(forward, images, labels, guided=guided is not None)
        np.testing.assert_array_equal(parts.targets, labels)
        assert_close(parts.maps["cam"], expected.cam, 1e-6)
        if guided is not None:
            assert_close(parts.guided_backprop, expected.guided_backprop, 2e-6)
        assert (np.asarray(labels[1]) == (4, 2)).all()
        assert labels[0, 0] == jnp.argmax(parts.outputs[0])


def test_a_loop_on_cpus_the_whole_batch_elsewhere():
    traced = jax.jit(lambda x: over_examples(jnp.sin, x)).trace(jnp.ones((5, 2)))
    assert "while" in traced.lower(lowering_platforms=("cpu",)).as_text()
    assert "while" not in traced.lower(lowering_platforms=("cuda",)).as_text()


@pytest.mark.parametrize("guided", [False, True])
def test_explaining_loops_on_cpus_and_is_batched_elsewhere(guided):
    forward = gc.tapped(*small_vgg(), "relu3_1")
    images, labels = jnp.asarray(random_images(3, 32)), jnp.asarray(LABELS)
    traced = jax.jit(lambda f, x, y: gc.explain(f, x, y, guided=guided)).trace(forward, images, labels)

    def program(platform):
        return traced.lower(lowering_platforms=(platform,)).as_text()

    over_targets = int(guided)  # whose backward passes through the trunk take turns: memory holds one
    assert program("cpu").count("stablehlo.while") > over_targets
    for platform in ("cuda", "tpu"):
        assert program(platform).count("stablehlo.while") == over_targets
        assert "tensor<3x32x32x" in program(platform)


def test_one_photos_targets_pass_the_trunk_together():
    forward = gc.tapped(*small_vgg(), "relu3_1")
    image, labels = jnp.asarray(random_images(1, 32)), jnp.asarray(LABELS[:1])
    traced = jax.jit(lambda f, x, y: gc.explain(f, x, y, guided=True)).trace(forward, image, labels)
    assert "stablehlo.while" not in traced.lower().as_text()


def test_on_cpus_memory_does_not_grow_by_the_trunks_activations():
    model = VGG(convolutions=(1, 1), channels=(64, 4), hidden=8, classes=5, input_size=32)
    variables = variable_shapes(model, jax.ShapeDtypeStruct((32, 32, 3), jnp.float32))
    forward = gc.tapped(model, variables, "relu2_1")

    def temporary(count):
        images, labels = jnp.zeros((count, 32, 32, 3)), jnp.zeros((count, 1), int)
        run = jax.jit(lambda forward, x, y: gc.explain(forward, x, y).cam)
        return run.lower(forward, images, labels).compile().memory_analysis().temp_size_in_bytes

    activation = 32 * 32 * 64 * 4  # of conv1_1, for one image
    assert temporary(64) - temporary(32) < 32 * activation / 4


def test_inputs_besides_the_image_go_with_it():
    class Asked(nn.Module):
        @nn.compact
        def __call__(self, x, words, scale):
            x = Relu(name="relu")(nn.Conv(4, (3, 3), name="conv")(x))
            question = nn.Embed(5, 4, name="word_embedding")(words).mean(-2) * scale[..., None]
            return nn.Dense(3)(jnp.tanh(x.mean((-3, -2)) * question))

    images = jnp.asarray(random_images(3, 8))
    words, scale = jnp.array([[0, 1], [2, 3], [4, 4]]), jnp.array([1.0, 2.0, 3.0])
    model = Asked()
    variables = model.init(jax.random.key(0), images, words, scale)
    forward = gc.tapped(model, variables, "relu")
    explanation = gc.explain(forward, images, jnp.array([[0], [1], [2]]), words, scale, guided=True)
    assert_close(explanation.outputs, model.apply(variables, images, words, scale), 1e-6)
    for index in range(3):
        _, activations, gradients = gc.layer_grads(
            forward, lambda y, index=index: y[index], images[index], words[index], scale[index]
        )
        cam = gc.grad_cam(activations["relu"], gradients["relu"], rectify=False)
        assert_close(explanation.cam[index, 0], cam, 2e-6)
        example = images[index], words[index], scale[index]
        pixels = guided_gradient(model, variables, lambda y, index=index: y[index], *example)
        assert_close(explanation.guided_backprop[index, 0], pixels, 2e-6)


@pytest.mark.parametrize(
    ("function", "position", "expected"),
    [
        (lambda x, y: x["a"] + y, 1, True),
        (lambda x, y: jnp.sin(x["b"]), 1, False),
        (lambda x, y: x["a"] + jnp.zeros_like(y), 1, False),
        (lambda x, y: x["b"] + jnp.cos(y), 0, True),
        (lambda x, y: jnp.cos(y), 0, False),
        (lambda x, y: jax.jit(lambda x, y: x["a"] * 2)(x, y), 1, True),  # too careful: of a nested call all counts
    ],
)
def test_dependence_is_read_off_the_program(function, position, expected):
    x, y = {"a": jnp.array(1.0), "b": jnp.array(3.0)}, jnp.array(2.0)
    traced = Traced(function, x, y)
    assert traced.depends_on(position) is expected
    assert_close(traced(x, y), function(x, y), 1e-6)


def test_a_traced_function_is_called_without_what_its_result_does_not_need():
    def function(x, y):
        unused = jnp.cos(jnp.exp(y))
        return jnp.sin(x) + jnp.zeros_like(unused)

    traced = Traced(function, jnp.array(1.0), jnp.array(2.0))
    text = str(jax.make_jaxpr(traced)(jnp.array(1.0), jnp.array(2.0)))
    assert "sin" in text
    assert "exp" not in text
    assert "cos" not in text


def test_the_summed_head_has_no_say_in_other_maps():
    forward = gc.tapped(*small_vgg(), "relu3_1")
    images, labels = jnp.asarray(random_images(2, 32)), jnp.asarray(LABELS[:2])
    summed = dataclasses.replace(forward, dense="fc6")
    for options in ({"method": gc.counterfactual_grad_cam}, {"guided": True}):
        ours, theirs = (gc.explain(either, images, labels, **options) for either in (summed, forward))
        for left, right in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            np.testing.assert_array_equal(left, right)

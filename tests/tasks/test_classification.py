"""Several classes of one photo from one forward pass: the maps, the work done, the compilations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.zoo import classifiers as zoo
from tests.comparison import assert_close, plain_convolutions, random_images
from tests.models.small_vgg import small_vgg

LAYER = "relu3_1"


def explain(image, labels, **options):
    model, variables = small_vgg()
    return gc.explain_classes(model, variables, LAYER, jnp.asarray(image), jnp.asarray(labels), **options)


def test_every_part_is_what_the_pure_functions_give():
    model, variables = small_vgg()
    image = jnp.asarray(random_images(1, 32)[0])
    explanation = explain(image, [5, 2])
    forward = gc.tapped(model, variables, LAYER)
    guided = gc.tapped(model.clone(relu=gc.guided_relu), variables, ())
    for index, label in enumerate([5, 2]):
        outputs, activations, gradients = gc.linearize(forward, lambda y, label=label: y[label], image)
        cam = gc.grad_cam(activations[LAYER], gradients[LAYER], rectify=False)
        pixels = gc.input_gradient(guided, lambda y, label=label: y[label], image)
        heatmap = gc.resize_corner_aligned(jax.nn.relu(cam), (32, 32))
        assert_close(explanation.outputs, outputs, 1e-6)
        assert_close(explanation.scores[index], outputs[label], 1e-6)
        assert_close(explanation.cam[index], cam, 2e-6)
        assert_close(explanation.heatmap[index], heatmap, 2e-6)
        assert_close(explanation.guided_backprop[index], pixels, 2e-6)
        assert_close(explanation.guided_grad_cam[index], gc.guided_grad_cam(heatmap, pixels), 2e-6)


def test_the_counterfactual_is_the_negated_map():
    image = random_images(1, 32)[0]
    usual, counter = explain(image, [1]), explain(image, [1], method=gc.counterfactual_grad_cam)
    assert_close(counter.cam, -usual.cam, 1e-6)
    assert float(jnp.minimum(usual.heatmap, counter.heatmap).max()) < float(usual.heatmap.max()) * 0.5


def test_grad_cam_equals_cam_where_the_head_is_linear():
    entry = gc.find_entry("efficientnet_lite0")
    model, variables = entry.build(), gc.load_variables(entry)

    @jax.jit
    def cam_and_activations(variables, image, label):
        forward = gc.tapped(model, variables, entry.layer)
        _, activations, gradients = gc.linearize(forward, lambda y: y[label], image)
        return gc.grad_cam(activations[entry.layer], gradients[entry.layer], rectify=False), activations[
            entry.layer
        ]

    image = jnp.asarray(random_images(1, 64)[0])
    cam, activations = cam_and_activations(variables, image, 281)
    positions = activations.shape[0] * activations.shape[1]
    weights = variables["params"]["classifier"]["kernel"][:, 281]
    assert_close(cam, np.einsum("hwk,k->hw", activations, weights) / positions, 1e-6)


def test_a_new_class_or_photo_compiles_nothing():
    model, variables = small_vgg()
    traces = 0

    @jax.jit
    def run(variables, image, labels):
        nonlocal traces
        traces += 1
        return gc.explain_classes(model, variables, LAYER, image, labels).cam

    for seed, labels in ((1, [0, 1]), (2, [3, 4]), (3, [6, 6])):
        run(variables, jnp.asarray(random_images(1, 32, seed=seed)[0]), jnp.array(labels))
    assert traces == 1
    run(variables, jnp.asarray(random_images(1, 32)[0]), jnp.array([1, 2, 3]))
    assert traces == 2


@pytest.fixture(scope="module")
def vgg16_flops():
    """FLOPs of compiled programs on VGG-16, from shapes alone: no weights are made."""
    entry = zoo.find_entry("vgg16")
    model, image = entry.build(), zoo.example_image(entry)
    variables = variable_shapes(model, image)

    def flops(function, *arguments):
        with plain_convolutions():
            compiled = jax.jit(function).lower(variables, image, *arguments).compile()
        return compiled.cost_analysis()["flops"]

    def cams(variables, image, labels):
        forward = gc.tapped(model, variables, entry.layer)

        def cam(label):
            _, activations, gradients = gc.linearize(forward, lambda y: y[label], image)
            return gc.grad_cam(activations[entry.layer], gradients[entry.layer])

        return jax.vmap(cam)(labels)

    def everything(variables, image, labels):
        return gc.explain_classes(model, variables, entry.layer, image, labels)

    def labels(count):
        return jax.ShapeDtypeStruct((count,), jnp.int32)

    forward = flops(lambda variables, image: model.apply(variables, image))
    work = {"one class": flops(cams, labels(1)), "ten classes": flops(cams, labels(10))}
    work["guided grad-cam"] = flops(everything, labels(1))
    return {name: value / forward for name, value in work.items()}


@pytest.mark.parametrize(("work", "most"), [("one class", 1.03), ("ten classes", 1.15), ("guided grad-cam", 2.1)])
def test_work_done_over_the_forward_pass(vgg16_flops, work, most):
    assert 1 <= vgg16_flops[work] <= most


def test_explaining_differs_between_classes():
    explanation = explain(random_images(1, 32)[0], [0, 1])
    assert float(jnp.abs(explanation.cam[0] - explanation.cam[1]).max()) > 1e-3


def test_jit_vmap_over_photos_equals_the_loop():
    images, labels = jnp.asarray(random_images(3, 32)), jnp.array([[0, 1], [2, 3], [4, 5]])
    model, variables = small_vgg()
    one = functools.partial(gc.explain_classes, model, variables, LAYER)
    batch = jax.jit(jax.vmap(one))(images, labels)
    for index in range(3):
        for whole, alone in zip(batch, explain(images[index], labels[index]), strict=True):
            assert_close(whole[index], alone, 5e-6)

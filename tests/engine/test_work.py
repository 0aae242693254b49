"""Operations and memory of explanations of VGG-16, from shapes alone: no weights are made."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import pytest

import gradcam_jax as gc
from gradcam_jax.attribution.maps import gradient_times_input
from gradcam_jax.tasks.methods import GRADIENT_MAPS
from gradcam_jax.zoo import example_inputs, find
from tests.comparison import plain_convolutions
from tests.zoo.from_shapes import load_shapes


def vgg16(summed=False):
    loaded = load_shapes("vgg16")
    forward = gc.tapped(loaded.model, loaded.variables, loaded.entry.layer)
    return dataclasses.replace(forward, dense="fc6") if summed else forward


def explain(targets=None, **options):
    def run(forward, images, *labels):
        return gc.explain(forward, images, *(labels or (targets,)), **options)

    return run


def pure_functions(forward, images, labels):
    def cam(image, label):
        _, activations, gradients = gc.layer_grads(forward, lambda y: y[label], image)
        return gc.grad_cam(activations["relu5_3"], gradients["relu5_3"])

    return jax.vmap(jax.vmap(cam, (None, 0)))(images, labels)


METHODS = {"grad_cam": gc.grad_cam, "hirescam": gradient_times_input}
TEN_METHODS = {
    "grad_cam": gc.grad_cam,
    "counterfactual": gc.counterfactual_grad_cam,
    "grad_cam_plusplus with an epsilon": functools.partial(gc.grad_cam_plusplus, epsilon=1e-6),
    **GRADIENT_MAPS,
}
ONE, TEN = 1, 10
# Work -> function, classes, with a summed head, the most forward passes that it may cost.
WORK = {
    "one class": (explain(), ONE, False, 1.03),
    "ten classes": (explain(), TEN, False, 1.15),
    "guided backpropagation": (explain(guided=True), ONE, False, 2.1),
    "one class, summed head": (explain(), ONE, True, 1.03),
    "ten classes, summed head": (explain(), TEN, True, 1.05),
    "the predicted class": (explain(gc.top_k(1)), None, False, 1.03),
    "two methods": (explain(method=METHODS), ONE, False, 1.03),
    "all classes, summed head": (explain(gc.all_classes), None, True, 1.8),
    "one class, pure functions": (pure_functions, ONE, False, 1.03),
    "ten classes, pure functions": (pure_functions, TEN, False, 1.15),
}


@pytest.fixture(scope="module")
def flops():
    (image,) = example_inputs(find("vgg16"))
    images = jax.ShapeDtypeStruct((1, *image.shape), image.dtype)

    def count(function, forward, *arguments):
        with plain_convolutions():
            return jax.jit(function).lower(forward, images, *arguments).compile().cost_analysis()["flops"]

    once = count(lambda forward, images: jax.vmap(lambda image: forward.at(())({}, image))(images), vgg16())
    return lambda *arguments: count(*arguments) / once


@pytest.mark.parametrize("work", WORK)
def test_work_done_over_the_forward_pass(flops, work):
    function, classes, summed, most = WORK[work]
    labels = () if classes is None else (jax.ShapeDtypeStruct((1, classes), jnp.int32),)
    assert 1 <= flops(function, vgg16(summed), *labels) <= most


def test_ten_methods_cost_little_more_than_one(flops):
    assert len(TEN_METHODS) == 10
    labels = jax.ShapeDtypeStruct((1, 1), jnp.int32)
    one, ten = (flops(explain(method=method), vgg16(), labels) for method in (gc.grad_cam, TEN_METHODS))
    # The compiler does not count the eigenvectors of two matrices of 14 * 14 positions: some 9 n^3 each.
    eigenvectors = 2 * 9 * 196**3 / 31e9
    assert one < ten + eigenvectors <= 1.1 * one


def test_ablation_runs_the_head_alone(flops):
    """At most a fiftieth of the work of running all layers for each of the 512 channels."""
    labels = jax.ShapeDtypeStruct((1, 1), jnp.int32)

    # All channels at once: of a loop the compiler counts one turn.
    def run(forward, images, labels):
        return gc.ablation_cam(forward, images, labels, chunk_size=512).cam

    passes = flops(run, vgg16(), labels)
    assert 1 + 512 * 0.007 <= passes <= 512 / 50


def test_a_thousand_classes_of_vgg16_in_bounded_memory():
    (image,) = example_inputs(find("vgg16"))
    images = jax.ShapeDtypeStruct((8, *image.shape), jnp.float32)
    run = jax.jit(lambda forward, images: gc.explain(forward, images, gc.all_classes).cam)
    assert run.lower(vgg16(summed=True), images).compile().memory_analysis().temp_size_in_bytes < 1e9

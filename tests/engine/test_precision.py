"""The precision of an explanation, read in the programs that each kind of device would be given."""

import functools
import re
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from gradcam_jax.engine import precision
from gradcam_jax.engine.precision import PRECISIONS, with_precision
from gradcam_jax.tasks.methods import DEFAULT_METHODS
from gradcam_jax.tasks.task import explain_photos
from tests.comparison import random_images
from tests.engine.test_many_classes import build
from tests.models.small_vgg import small_vgg

IMAGES, LABELS = jnp.asarray(random_images(2, 32)), jnp.array([[0, 1], [6, 5]])
TASKS = {
    "classification": lambda: gc.tasks.classification(gc.zoo.load("efficientnet_lite0")),
    "vqa": lambda: gc.tasks.vqa(gc.zoo.load("vqa_easy"), question="Is it red?"),
    "captioning": lambda: gc.tasks.captioning(gc.zoo.load("captioner_lite0")),
}
EXACT, ROUNDED = "HIGHEST", "HIGH"
H200 = SimpleNamespace(platform="gpu", compute_capability="9.0", device_kind="NVIDIA H200")
WITHOUT = {
    "cpu": SimpleNamespace(platform="cpu", device_kind="cpu"),
    "TPU v5e": SimpleNamespace(platform="tpu", device_kind="TPU v5e"),
    "Tesla V100": SimpleNamespace(platform="gpu", compute_capability="7.0", device_kind="Tesla V100"),
    "AMD Instinct MI300X": SimpleNamespace(
        platform="gpu", compute_capability="gfx942", device_kind="AMD Instinct MI300X"
    ),
}


@pytest.fixture
def on_h200(monkeypatch):
    monkeypatch.setattr(precision.jax, "local_devices", lambda: [H200])


def products(function, *arguments, platform):
    """Returns dtype, precision of every matrix product and convolution of the program for a platform."""
    text = jax.jit(function).trace(*arguments).lower(lowering_platforms=(platform,)).as_text()
    lines = [line for line in text.splitlines() if re.search(r"stablehlo\.(dot_general|convolution)\b", line)]
    assert len(lines) == len(re.findall(r"stablehlo\.(?:dot_general|convolution)\b", text))
    return [product(line) for line in lines]


def product(line):
    named = {one or other for one, other in re.findall(r"precision (\w+)|\b(DEFAULT|HIGH|HIGHEST)\b", line)}
    (dtype,) = set(re.findall(r"tensor<(?:\d+x)*(\w+)>", line))
    return dtype, next(iter(named)) if len(named) == 1 else named


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
@pytest.mark.parametrize("task", TASKS)
def test_every_product_of_a_float32_explanation_is_exact_on_every_device(task, platform):
    made = TASKS[task]()
    inputs = {name: np.asarray(array)[np.newaxis] for name, array in made.encode({}).items()}
    function = functools.partial(explain_photos, plan=made.plan, methods=DEFAULT_METHODS)
    images = jax.ShapeDtypeStruct((1, made.size, made.size, 3), jnp.uint8)
    forward = with_precision(made.forward, "float32")
    assert set(products(function, forward, images, inputs, platform=platform)) == {("f32", EXACT)}


@pytest.mark.parametrize("name", PRECISIONS)
@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("model", ["vgg", "efficientnet"])
def test_what_each_precision_computes(on_h200, name, guided, model):
    if model == "vgg":
        (net, variables), layer, images = small_vgg(), "relu3_1", IMAGES
    else:
        net, variables, layer, images, _ = build("efficientnet")
    forward = with_precision(gc.tapped(net, variables, layer), name, images[0])
    explain = functools.partial(gc.explain, guided=guided)
    found = products(explain, forward, images, LABELS, platform="cuda")
    # Maps are exact in all: their sums over channels cost nothing.
    expected = {
        "float32": {("f32", EXACT)},
        "tensorfloat32": {("f32", ROUNDED), ("f32", EXACT)},
        "bfloat16": {("bf16", ROUNDED), ("f32", ROUNDED), ("f32", EXACT)},
    }
    assert set(found) == expected[name]
    assert found.count(("f32", EXACT)) <= 2 or name == "float32"


def test_the_summed_head_is_computed_in_the_precision_too(on_h200):
    forward = gc.with_summed_head(gc.tapped(*small_vgg(), "relu3_1"), IMAGES[0])
    for choice in (LABELS, gc.all_classes):
        explain = functools.partial(gc.explain, targets=choice)
        exact = products(explain, with_precision(forward, "float32"), IMAGES, platform="cuda")
        assert set(exact) == {("f32", EXACT)}
        rounded = products(explain, with_precision(forward, "tensorfloat32"), IMAGES, platform="cuda")
        assert ("f32", ROUNDED) in rounded


def test_without_a_precision_the_callers_configuration_counts():
    forward = gc.tapped(*small_vgg(), "relu3_1")
    for ready in (forward, gc.prepared(forward, IMAGES[0])):
        assert set(products(gc.explain, ready, IMAGES, LABELS, platform="cuda")) == {
            ("f32", "DEFAULT"),
            ("f32", EXACT),
        }
        with jax.default_matmul_precision("float32"):
            assert set(products(gc.explain, ready, IMAGES, LABELS, platform="cuda")) == {("f32", EXACT)}


def test_a_precision_counts_more_than_the_callers_configuration():
    forward = with_precision(gc.tapped(*small_vgg(), "relu3_1"), "float32")
    with jax.default_matmul_precision("bfloat16"):
        assert set(products(gc.explain, forward, IMAGES, LABELS, platform="tpu")) == {("f32", EXACT)}
        assert jax.config.jax_default_matmul_precision == "bfloat16"


def test_on_a_cpu_exact_float32_is_what_is_computed_anyway():
    forward = gc.tapped(*small_vgg(), "relu3_1")
    exact, plain = (
        gc.explain(one, IMAGES, LABELS, guided=True) for one in (with_precision(forward, "float32"), forward)
    )
    for ours, theirs in zip(jax.tree.leaves(exact), jax.tree.leaves(plain), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_nvidia_gpu_has_tensorfloat32(on_h200):
    assert with_precision(gc.tapped(*small_vgg(), "relu3_1"), "tensorfloat32").precision == "tensorfloat32"


@pytest.mark.parametrize("kind", WITHOUT)
def test_a_device_without_tensorfloat32_refuses_it(monkeypatch, kind):
    monkeypatch.setattr(precision.jax, "local_devices", lambda: [WITHOUT[kind]])
    forward = gc.tapped(*small_vgg(), "relu3_1")
    with pytest.raises(gc.InputError, match=rf"has tensorfloat32, .*got {kind} instead\. Nearest: float32"):
        gc.prepared(forward, IMAGES[0], precision="tensorfloat32")

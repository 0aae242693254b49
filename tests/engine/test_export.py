"""An explanation is a JAX function like any other: it is differentiated, and runs elsewhere from its bytes."""

import subprocess
import sys

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from tests.comparison import assert_close, random_images
from tests.models.small_vgg import small_vgg

LABELS = jnp.array([[3]])


def test_gradients_flow_through_a_map():
    forward, image = gc.tapped(*small_vgg(), "relu3_1"), jnp.asarray(random_images(1, 32))
    inside = jnp.zeros((8, 8)).at[2:6, 2:6].set(1)

    def loss(forward):
        cam = jax.nn.relu(gc.explain(forward, image, LABELS).cam[0, 0])
        return jnp.sum(cam * (1 - inside)) - jnp.sum(cam * inside)

    step = jax.jit(jax.value_and_grad(loss))
    first, gradient = step(forward)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(gradient)]
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    assert max(np.abs(leaf).max() for leaf in leaves) > 0
    direction = jax.tree.map(lambda leaf: leaf / 100, gradient)
    moved = (
        jax.tree.map(lambda leaf, by: leaf + 1e-3 * by, forward, direction),
        jax.tree.map(lambda leaf, by: leaf - 1e-3 * by, forward, direction),
    )
    slope = (loss(moved[0]) - loss(moved[1])) / 2e-3
    expected = sum(float(np.vdot(leaf, leaf)) for leaf in leaves) / 100
    assert_close(slope, expected, 0.05)  # finite differences across rectifiers' kinks
    for _ in range(20):
        _, gradient = step(forward)
        forward = jax.tree.map(lambda leaf, by: leaf - 1e-3 * by, forward, gradient)
    assert step(forward)[0] < first


def test_it_runs_from_its_bytes_in_another_process_without_this_package(tmp_path):
    pytest.importorskip(
        "flatbuffers", reason="jax.export writes programs with flatbuffers: install the extra `test`"
    )
    forward = gc.tapped(*small_vgg(), "relu3_1")
    photo = jax.random.uniform(jax.random.key(0), (1, 32, 32, 3))

    def run(photo):
        images = gc.images.to_network(photo, gc.images.find_preprocessing("torchvision"))
        found = gc.explain(forward, images, gc.top_k(2), guided=True)
        return found.scores, found.cam, found.guided_backprop

    (tmp_path / "program").write_bytes(jax.export.export(jax.jit(run))(photo).serialize())
    np.save(tmp_path / "photo.npy", photo)
    program = """
import pathlib, sys, numpy as np, jax.export
sys.modules["gradcam_jax"] = sys.modules["flax"] = None  # an import would fail
run = jax.export.deserialize(bytearray(pathlib.Path("program").read_bytes()))
np.savez("results.npz", *run.call(np.load("photo.npy")))
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, env={"JAX_PLATFORMS": "cpu"})
    with np.load(tmp_path / "results.npz") as results:
        for name, expected in zip(results, run(photo), strict=True):
            assert_close(results[name], expected, 1e-6)

"""Explanations inside the caller's own ``jax.shard_map``, with its default checks, on four devices."""

import os
import subprocess
import sys

PROGRAM = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, PartitionSpec as P
import gradcam_jax as gc
from tests.models.small_vgg import small_vgg

images = jnp.asarray(np.random.default_rng(0).standard_normal((8, 32, 32, 3)), jnp.float32)
labels = jnp.arange(8)[:, None] % 7
forward = gc.tapped(*small_vgg(), "relu3_1")

def gradients(forward, images, labels):
    def one(image, label):
        return gc.layer_grads(forward, lambda y: y[label[0]], image).gradients["relu3_1"]
    return jax.vmap(one)(images, labels)

FUNCTIONS = {
    "layer_grads": gradients,
    "explain": lambda *arguments: gc.explain(*arguments).cam,
    "guided": lambda *arguments: gc.explain(*arguments, guided=True).guided_backprop,
    "several layers": lambda forward, *rest: gc.explain(forward.at(("relu2_1", "relu3_1")), *rest).cam["relu3_1"],
}
mesh = Mesh(np.array(jax.devices()), ("devices",))
for name, function in FUNCTIONS.items():
    expected = jax.jit(function)(forward, images, labels)
    specs = (P(), P("devices"), P("devices"))
    sharded = jax.jit(jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=P("devices")))
    actual = sharded(forward, images, labels)
    print(len(jax.devices()), bool(jnp.abs(actual - expected).max() <= 2e-6 * jnp.abs(expected).max()), sep=",")
"""


def test_gradients_are_not_summed_over_the_devices():
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["4,True"] * 4

"""No tracer is left behind, by taps or by explanations, in a process that holds little else.

JAX looks for leaks among all living objects, and forgets its caches: among those of a whole suite this takes long.
"""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import gradcam_jax as gc

ROOT = Path(__file__).resolve().parents[1]


def taps():
    import flax.linen as nn

    from tests.interception.test_linen import Block, Plain, X, gradient, initialised

    gc.layer_shapes(gc.tapped(*initialised(Plain(), X)), X)
    for build in (Plain, lambda: Plain(block=nn.remat(Block)), lambda: Plain(block=nn.jit(Block))):
        model, variables = initialised(build(), X)
        jax.jit(lambda v, model=model: gradient(model, v, "second"))(variables)
        jax.vmap(lambda x, model=model, v=variables: gc.tapped(model, v, "first")({}, x)[1])(jnp.ones((2, 3)))


def taps_of_nnx_models():
    from flax import nnx

    from tests.interception.test_nnx import Blocks, RematBlock, X

    forward = gc.tapped(Blocks(RematBlock, rngs=nnx.Rngs(0)), "blocks.0", train=True)
    jax.jit(lambda forward, x: gc.layer_grads(forward, lambda y: y[0], x).gradients)(forward, X)
    jax.vmap(lambda x: forward({}, x)[1])(jnp.stack([X, X]))


def explanations():
    from tests.comparison import random_images
    from tests.models.small_vgg import small_vgg

    model, variables = small_vgg()
    images = jnp.asarray(random_images(2, 32))
    gc.explain(gc.tapped(model, variables, ("relu2_1", "relu3_1")), images, gc.top_k(1), guided=True)


def a_leak():
    kept = []
    jax.jit(lambda x: kept.append(x) or x)(jnp.ones(2))


def look(uses: str) -> subprocess.CompletedProcess[str]:
    code = f"import tests.conftest, jax, tests.test_leaks as t\nwith jax.checking_leaks(): t.{uses}()"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("uses", [taps, taps_of_nnx_models, explanations])
def test_no_tracer_is_left_behind(uses):
    result = look(uses.__name__)
    assert result.returncode == 0, result.stderr


def test_a_leak_is_seen():
    assert "Leaked" in look("a_leak").stderr

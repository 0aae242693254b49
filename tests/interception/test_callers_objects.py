"""No object of the caller's differs after a call, succeeded or failed: leaf by leaf, and by ``vars``."""

import functools
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import gradcam_jax as gc
from tests.comparison import random_images
from tests.models.three_ways import LinenNet, NNXNet, NNXTrunk

CONFIGURATION = ("jax_enable_x64", "jax_default_matmul_precision", "jax_numpy_dtype_promotion")


@pytest.fixture(autouse=True)
def standard_promotion():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def snapshot(value, seen=()):
    """Everything reached from an object: arrays by identity and value, the rest by fields and items."""
    if id(value) in seen or isinstance(value, type | types.ModuleType | str | int | float | bool | None):
        return value
    seen = (*seen, id(value))
    if isinstance(value, jax.Array | np.ndarray):
        keys = isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
        numbers = np.asarray(jax.random.key_data(value) if keys else value)
        return id(value), numbers.shape, numbers.dtype, numbers.tobytes()
    if isinstance(value, dict):
        return id(value), [(key, snapshot(item, seen)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [snapshot(item, seen) for item in value]
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return id(value), [snapshot(item, seen) for item in (cells, value.__defaults__, vars(value))]
    slots = {name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())}
    fields = dict(getattr(value, "__dict__", {})) | {
        name: getattr(value, name) for name in sorted(slots) if name != "__weakref__" and hasattr(value, name)
    }
    return id(value), type(value), [(key, snapshot(item, seen)) for key, item in fields.items()]


def with_trap(x, trap):
    if trap:
        raise ZeroDivisionError("raised by the model")
    return x


class LinenTrap(nn.Module):
    """Raises in the middle of a call, inside a submodule."""

    @nn.compact
    def __call__(self, x, trap=False):
        x = LinenNet(name="net")(x)
        return with_trap(nn.Dense(5, name="last")(x), trap)


class NNXTrap(nnx.Module):
    def __init__(self, *, rngs):
        self.net, self.last = NNXNet(NNXTrunk, rngs=rngs), nnx.Linear(5, 5, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x, trap=False):
        return with_trap(self.dropout(self.last(self.net(x))), trap)


def linen():
    model = LinenTrap()
    variables = model.init(jax.random.key(0), jnp.ones((1, 8, 8, 3)))
    objects = model, variables, LinenTrap, nn.Conv, nn.Dense
    return objects, lambda layers, **options: gc.tapped(model, variables, layers, **options), "net/late"


def in_nnx():
    model = NNXTrap(rngs=nnx.Rngs(0, dropout=1))
    objects = model, NNXTrap, nnx.Conv, nnx.Linear
    return objects, lambda layers, **options: gc.tapped(model, layers, **options), "net.late"


def functions():
    kernel, table = jnp.ones((3, 5)), {}

    def late(x):
        return jax.nn.relu(x)

    def head(x, trap=False):
        return with_trap(x.mean((0, 1)) @ kernel, trap)

    table |= {"late": late, "head": head}

    def tap(layers, trap=False):
        stages = table | {"head": functools.partial(head, trap=True)} if trap else table
        return gc.tapped_functions(stages, layers)

    return (table, kernel, late, head), tap, "late"


def call(tap, layer, images, labels, **options):
    return gc.explain(tap(layer), images, labels, **options)


def jitted(tap, layer, images, labels):
    return jax.jit(functools.partial(gc.explain, guided=True))(tap(layer), images, labels)


def mapped(tap, layer, images, labels):
    return jax.vmap(lambda *one: gc.explain(tap(layer), *(leaf[None] for leaf in one)))(images, labels)


def differentiated(tap, layer, images, labels):
    return jax.grad(lambda images: gc.explain(tap(layer), images, labels).cam.sum())(images)


def looked_at(tap, layer, images, labels):
    forward = tap(layer)
    gc.layer_shapes(forward, images[0])
    gc.rectifiers(forward, images[0])
    gc.suggest_layer(forward, images[0])
    gc.prepared(forward, images[0])


def unknown(tap, layer, images, labels):
    gc.explain(tap("nowhere"), images, labels)


def past_the_end(tap, layer, images, labels):
    gc.explain(tap(layer), images, labels + 5)


def bytes_(tap, layer, images, labels):
    gc.explain(tap(layer), images.astype(jnp.uint8), labels)


def raised_by_the_score(tap, layer, images, labels):
    gc.explain(tap(layer), images, labels, score=lambda logits, label: with_trap(logits[label], True))


def raised_by_the_model(tap, layer, images, labels):
    gc.explain(tap(layer, trap=True), images, labels, guided=True)


def raised_under_jit(tap, layer, images, labels):
    jax.jit(gc.explain)(tap(layer, trap=True), images, labels)


SUCCEEDING = {
    "explain": call, "guided": functools.partial(call, guided=True), "jit": jitted, "vmap": mapped,
    "grad": differentiated, "layers": looked_at,
}  # fmt: skip
FAILING = {
    "unknown layer": (unknown, gc.LayerError), "class past the end": (past_the_end, gc.InputError),
    "bytes": (bytes_, gc.InputError), "the score raises": (raised_by_the_score, ZeroDivisionError),
    "the model raises": (raised_by_the_model, ZeroDivisionError),
    "the model raises under jit": (raised_under_jit, ZeroDivisionError),
}  # fmt: skip


@pytest.mark.parametrize("way", [linen, in_nnx, functions])
@pytest.mark.parametrize("name", [*SUCCEEDING, *FAILING])
def test_no_object_of_the_callers_differs(way, name):
    objects, tap, layer = way()
    images, labels = jnp.asarray(random_images(2, 8)), jnp.array([[3], [1]])
    everything = [objects, images, labels]
    before = snapshot(everything), class_members(objects), [getattr(jax.config, name) for name in CONFIGURATION]
    if name in FAILING:
        function, error = FAILING[name]
        with pytest.raises(error):
            function(tap, layer, images, labels)
    else:
        SUCCEEDING[name](tap, layer, images, labels)
    after = snapshot(everything), class_members(objects), [getattr(jax.config, name) for name in CONFIGURATION]
    assert after == before


def test_nothing_is_intercepted_after_a_failure():
    (model, variables, *_), tap, layer = linen()
    images, labels = jnp.asarray(random_images(2, 8)), jnp.array([[3], [1]])
    before = str(jax.make_jaxpr(model.apply)(variables, images))
    with pytest.raises(ZeroDivisionError):
        raised_by_the_model(tap, layer, images, labels)
    jax.clear_caches()
    assert str(jax.make_jaxpr(model.apply)(variables, images)) == before


def class_members(objects):
    return [dict(vars(value)) for value in objects if isinstance(value, type)]


def test_a_snapshot_sees_what_changes():
    model = NNXTrap(rngs=nnx.Rngs(0, dropout=1))
    seen = snapshot(model)
    assert seen == snapshot(model)
    model(jnp.ones((1, 8, 8, 3)))  # its stream of dropout's keys advances
    assert seen != snapshot(model)
    model, variables = LinenTrap(), {"params": {"kernel": np.ones(2)}}
    seen = snapshot((model, variables))
    variables["params"]["kernel"][1] = 0
    assert seen != snapshot((model, variables))
    variables["params"]["kernel"][1] = 1
    assert seen == snapshot((model, variables))
    object.__setattr__(model, "added", 1)
    assert seen != snapshot((model, variables))

"""Rectifiers in models that are not ours: which are found, where, and that their rule is the one asked for."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from gradcam_jax.attribution.relu_rules import relu6
from gradcam_jax.models.layers import Relu
from gradcam_jax.zoo import MODELS, example_inputs, random_variables
from tests.comparison import assert_close, random_images
from tests.models.guided import guided_gradient
from tests.models.small_vgg import small_vgg
from tests.zoo.from_shapes import load_shapes

X = jnp.linspace(-7.0, 9.0, 24).reshape(4, 6)

# What it is called in the count -> ways to write it.
RECTIFIERS = {
    "relu": [
        jax.nn.relu, nn.relu, lambda x: jnp.maximum(x, 0), lambda x: jnp.maximum(0, x), lambda x: jnp.clip(x, 0),
        lambda x: jnp.maximum(x, jnp.zeros_like(x)), lambda x: jnp.where(x > 0, x, 0.0),
        lambda x: x * (x > 0).astype(x.dtype),
        jax.jit(lambda x: jnp.maximum(x, 0)), gc.guided(jax.nn.relu),
        lambda x: jax.lax.max(x, jnp.float32(0)), lambda x: jnp.maximum(x, np.float32(0)),
        lambda x: jnp.square(jax.nn.relu(x)), lambda x: 2 * jnp.maximum(x, 0) + 1,
    ],
    "relu6": [jax.nn.relu6, lambda x: jax.lax.clamp(0.0, x, 6.0), lambda x: jnp.clip(x, 0, 6), relu6],
    "leaky_relu": [jax.nn.leaky_relu, functools.partial(jax.nn.leaky_relu, negative_slope=0.3)],
    "elu": [jax.nn.elu], "celu": [jax.nn.celu], "selu": [jax.nn.selu], "mish": [jax.nn.mish],
    "softplus": [jax.nn.softplus], "squareplus": [jax.nn.squareplus], "hard_silu": [jax.nn.hard_swish],
    "gelu": [jax.nn.gelu, functools.partial(jax.nn.gelu, approximate=False)],
    "silu": [jax.nn.silu, nn.swish, lambda x: x * jax.nn.sigmoid(x)],
    "activation": [
        lambda x: x * jnp.tanh(jax.nn.softplus(x)), lambda x: jnp.maximum(x, 0.1 * x),
        lambda x: jnp.where(x > 0, x, 0.2 * x), lambda x: jnp.maximum(x, 0) + jnp.expm1(jnp.minimum(x, 0)),
        lambda x: jax.nn.relu(x) - 0.1 * jax.nn.relu(-x), lambda x: jnp.maximum(-x, 0),
        lambda x: (x + jnp.abs(x)) / 2, jax.jit(lambda x: 1 + jax.nn.relu(x)),
    ],
}  # fmt: skip

OTHERS = {
    "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "hard_sigmoid": jax.nn.hard_sigmoid,
    "soft_sign": jax.nn.soft_sign, "hard sigmoid": lambda x: jax.nn.relu6(x + 3) / 6,
    "hard tanh": lambda x: jnp.minimum(jnp.maximum(x, -1), 1),
    "hard_tanh": jax.nn.hard_tanh, "log_sigmoid": jax.nn.log_sigmoid, "abs": jnp.abs, "square": jnp.square,
    "exp": jnp.exp, "softmax": jax.nn.softmax, "log_softmax": jax.nn.log_softmax, "affine": lambda x: 2 * x + 1,
    "clip": lambda x: jnp.clip(x, 0, 1), "step": lambda x: jnp.where(x > 0, 1.0, 0.0), "sin": jnp.sin,
    "integers": lambda x: jnp.maximum(x.astype(int), 0).astype(float), "logsumexp": jax.nn.logsumexp,
    "norm": lambda x: x / jnp.maximum(jnp.linalg.norm(x), 1e-6), "standardize": jax.nn.standardize,
    "of two": lambda x: jnp.maximum(x[:2], x[2:]), "max_pool": lambda x: nn.max_pool(x[..., None], (2, 2)),
    "clamped log": lambda x: jnp.log(jnp.maximum(x, 1e-6)),
}  # fmt: skip


def counted(function, x=X):
    return gc.rectifiers(gc.tapped_functions({"f": function}, ()), x)


def gradient_by_the_rule(function, x, cotangent):
    """The gradient through a function whose rectifiers carry the rule."""
    forward = gc.tapped_functions({"f": function}, ()).with_relu_rule(gc.guided)
    return jax.vjp(lambda x: forward({}, x)[0], x)[1](cotangent)[0]


@pytest.mark.parametrize(
    ("kind", "index"), [(kind, index) for kind, ways in RECTIFIERS.items() for index in range(len(ways))]
)
def test_a_rectifier_is_found_however_it_is_written_and_carries_the_rule(kind, index):
    function = RECTIFIERS[kind][index]
    assert counted(function) == {kind: 1}
    x, cotangent = X + 0.1, jnp.asarray(np.random.default_rng(0).standard_normal(X.shape), jnp.float32)
    expected = jax.vjp(function, x)[1](jnp.maximum(cotangent, 0))[0]
    assert_close(gradient_by_the_rule(function, x, cotangent), expected, 1e-6)
    forward = gc.tapped_functions({"f": function}, ()).with_relu_rule(gc.guided)
    np.testing.assert_allclose(forward({}, x)[0], function(x), rtol=1e-6)


def prelu_by_negative(x, slope):
    return jnp.where(x < 0, slope * x, x)


SLOPES = {
    "where": (lambda x, slope: jnp.where(x > 0, x, slope * x), jnp.linspace(0.1, 0.6, 6)[jnp.newaxis]),
    "the other way round": (prelu_by_negative, jnp.float32(0.25)),
    "Flax": (lambda x, slope: nn.PReLU().apply({"params": {"negative_slope": slope}}, x), jnp.float32(0.25)),
    "compiled": (jax.jit(lambda x, slope: jax.lax.select(x >= 0, x, x * jnp.broadcast_to(slope, x.shape))),
                 jnp.linspace(0.1, 0.6, 6)[jnp.newaxis]),
    "of an affine value": (lambda x, slope: prelu_by_negative(2 * x + 1, slope), jnp.float32(0.25)),
}  # fmt: skip


@pytest.mark.parametrize("name", SLOPES)
def test_a_rectifier_whose_slope_is_a_parameter(name):
    function, slope = SLOPES[name]
    plain = gc.tapped_functions({"f": jax.tree_util.Partial(lambda slope, x: function(x, slope), slope)}, ())
    assert gc.rectifiers(plain, X) == {"prelu": 1}
    x, cotangent = X + 0.1, jnp.asarray(np.random.default_rng(0).standard_normal(X.shape), jnp.float32)
    forward = plain.with_relu_rule(gc.guided)
    expected = jax.vjp(lambda x: function(x, slope), x)[1](jnp.maximum(cotangent, 0))[0]
    for run in (lambda x: forward({}, x)[0], jax.jit(lambda x: forward({}, x)[0])):
        np.testing.assert_allclose(run(x), function(x, slope), rtol=1e-6)
        assert_close(jax.vjp(run, x)[1](cotangent)[0], expected, 1e-6)
    (deconvolved,) = jax.vjp(lambda x: plain.with_relu_rule(gc.deconvolved)({}, x)[0], x)[1](cotangent)
    assert_close(deconvolved, jnp.maximum(cotangent, 0) * (2 if "affine" in name else 1), 1e-6)


def test_a_choice_by_another_sign_is_no_prelu():
    for function in (
        lambda x, slope: jnp.where(x > 1, x, slope * x),
        lambda x, slope: jnp.where(x > 0, x, slope + x),
        lambda x, slope: jnp.where(slope > 0, x, slope * x),
        lambda x, slope: jnp.where(x > 0, slope * x, x),
    ):
        plain = gc.tapped_functions({"f": lambda x, function=function: function(x, jnp.ones((1, 6)))}, ())
        assert "prelu" not in gc.rectifiers(plain, X)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_rectifier_is_left_alone(name):
    function = OTHERS[name]
    assert counted(function) == {}
    with pytest.raises(gc.InputError, match="Expected a model with rectifiers to replace"):
        gc.tapped_functions({"f": function}, ()).with_relu_rule(gc.guided)({}, X)


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, functools.partial(nn.BatchNorm, False)])
def test_the_guard_of_a_variance_is_no_rectifier(norm):
    class Normalised(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.relu((norm(1) if norm is nn.GroupNorm else norm())(x))

    model = Normalised()
    variables = model.init(jax.random.key(0), X)
    options = {"mutable": ("batch_stats",)} if "batch_stats" in variables else {}
    assert gc.rectifiers(gc.tapped(model, variables, batch_axis=False, **options), X) == {"relu": 1}


WEIGHTS = jnp.asarray(np.random.default_rng(1).standard_normal((6, 6)), jnp.float32)


def layer(x, relu):
    return relu(x @ WEIGHTS)


def in_scan(x, relu):
    return jax.lax.scan(lambda carry, _: (layer(carry, relu), carry.sum()), x, length=3)[0]


def in_a_loop_of_fixed_length(x, relu):
    return jax.lax.fori_loop(0, 3, lambda _, carry: layer(carry, relu), x)


def in_custom_vjp(x, relu):
    """The gradient written by hand is the one that the function has."""

    @jax.custom_vjp
    def function(x, weights):
        return relu(x @ weights)

    def backward(residuals, gradient):
        x, weights = residuals
        gradient = jnp.where(x @ weights > 0, gradient, 0)
        return gradient @ weights.T, x.T @ gradient

    function.defvjp(lambda x, weights: (function(x, weights), (x, weights)), backward)
    return function(x, WEIGHTS)


def in_custom_jvp(x, relu):
    @jax.custom_jvp
    def function(x):
        return layer(x, relu)

    function.defjvp(lambda primals, tangents: jax.jvp(lambda x: layer(x, jax.nn.relu), primals, tangents))
    return function(x)


BODIES = {
    "jit": lambda x, relu: jax.jit(functools.partial(layer, relu=relu))(x),
    "jit in jit": lambda x, relu: jax.jit(lambda x: jax.jit(functools.partial(layer, relu=relu))(x) * 2)(x),
    "remat": lambda x, relu: jax.checkpoint(functools.partial(layer, relu=relu))(x),
    "remat with a policy": lambda x, relu: jax.checkpoint(
        functools.partial(layer, relu=relu), policy=jax.checkpoint_policies.dots_saveable
    )(x),
    "scan": in_scan,
    "fori_loop": in_a_loop_of_fixed_length,
    "remat in scan": lambda x, relu: jax.lax.scan(
        jax.checkpoint(lambda carry, _: (layer(carry, relu), None)), x, length=2
    )[0],
    "map": lambda x, relu: jax.lax.map(lambda row: layer(row[None], relu)[0], x),
    "vmap": lambda x, relu: jax.vmap(functools.partial(layer, relu=relu))(x),
    "cond": lambda x, relu: jax.lax.cond(x.sum() > 0, lambda x: layer(x, relu), lambda x: x, x),
    "custom_vjp": in_custom_vjp,
    "custom_jvp": in_custom_jvp,
    "associative reduction": lambda x, relu: jax.lax.reduce(layer(x, relu), 0.0, jax.lax.add, (0,)),
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("relu", [jax.nn.relu, lambda x: jnp.maximum(x, 0)])
def test_rectifiers_inside_other_programs(body, relu):
    def plain(x):
        return BODIES[body](x, relu)

    def ruled(x):
        return BODIES[body](x, gc.guided(jax.nn.relu))

    if body in ("custom_vjp", "custom_jvp"):  # their own derivative would be taken, not the rule

        def ruled(x):
            return layer(x, gc.guided(jax.nn.relu))

    assert sum(counted(plain).values()) == 1
    cotangent = jnp.asarray(np.random.default_rng(0).standard_normal(plain(X).shape), jnp.float32)
    expected = jax.vjp(ruled, X)[1](cotangent)[0]
    assert np.abs(expected - jax.vjp(plain, X)[1](cotangent)[0]).max() > 0.1  # the rule makes a difference
    assert_close(gradient_by_the_rule(plain, X, cotangent), expected, 1e-6)
    assert_close(jax.jit(functools.partial(gradient_by_the_rule, plain))(X, cotangent), expected, 1e-6)


def test_a_custom_derivative_without_rectifiers_is_kept():
    @jax.custom_vjp
    def reversing(x):
        return x

    reversing.defvjp(lambda x: (x, None), lambda _, gradient: (-gradient,))
    gradient = gradient_by_the_rule(lambda x: reversing(jax.nn.relu(x)), X, -jnp.ones_like(X))
    assert_close(gradient, (X > 0).astype(jnp.float32), 0)


def test_a_program_that_cannot_be_entered_is_an_error():
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("a",))
    spec = jax.sharding.PartitionSpec()
    sharded = jax.shard_map(lambda x: jnp.maximum(x, 0), mesh=mesh, in_specs=spec, out_specs=spec)
    with pytest.raises(gc.InputError, match=r"inside 'shard_map', which is not entered.*guided=guided_forward"):
        gradient_by_the_rule(sharded, X, X)


def test_a_while_loop_keeps_its_values():
    def doubled(x):
        return jax.lax.while_loop(lambda x: x.max() < 50, lambda x: 2 * jax.nn.relu(x), x)

    assert counted(doubled) == {"relu": 1}
    forward = gc.tapped_functions({"f": doubled}, ()).with_relu_rule(gc.guided)
    assert_close(forward({}, X)[0], doubled(X), 0)


def count_modules(modules, call, arguments, options, context):
    if isinstance(context.module, Relu):
        modules.append(context.module.path)
    return call(*arguments, **options)


@pytest.mark.parametrize("name", MODELS)
def test_every_rectifier_of_the_zoos_models_is_found_and_nothing_else(name):
    loaded = load_shapes(name)
    inputs = example_inputs(loaded.entry)
    modules = []
    with nn.intercept_methods(functools.partial(count_modules, modules)):
        jax.eval_shape(loaded.model.apply, loaded.variables, *inputs)
    found = gc.rectifiers(gc.tapped(loaded.model, loaded.variables), *inputs)
    assert sum(found.values()) == len(modules) > 0


@pytest.mark.parametrize("name", ["small_vgg", "efficientnet_lite0", "vqa_easy", "captioner_lite0"])
def test_models_equal_those_whose_modules_carry_the_rule(name):
    if name == "small_vgg":
        (model, variables), inputs = small_vgg(), [jax.ShapeDtypeStruct((32, 32, 3), jnp.float32)]
    else:
        loaded = load_shapes(name)
        inputs = example_inputs(loaded.entry, 64)
        model, variables = loaded.model, random_variables(loaded.model, *inputs)
    image, *others = [jnp.zeros(leaf.shape, leaf.dtype) for leaf in inputs]
    image = jnp.asarray(random_images(1, *image.shape[:2])[0])

    @jax.jit
    def both(variables, image, *others):
        forward = gc.tapped(model, variables).with_relu_rule(gc.guided)
        ours = jax.grad(lambda image: total(forward({}, image, *others)[0]))(image)
        return ours, guided_gradient(model, variables, total, image, *others)

    assert_close(*both(variables, image, *others), 1e-6)


def total(outputs):
    leaves = [leaf for leaf in jax.tree.leaves(outputs) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return sum(
        jnp.sum(leaf * jnp.sin(jnp.arange(leaf.size, dtype=leaf.dtype)).reshape(leaf.shape)) for leaf in leaves
    )

"""The guided and the deconvnet's rule, by hand, gate by gate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax import deconvolved, guided
from gradcam_jax.attribution.relu_rules import relu6

X = jnp.array([-2.0, 0.0, 3.0, 6.0, 8.0])
UP, DOWN = jnp.full(5, 2.0), jnp.full(5, -2.0)


def pulled_back(rule, gradient):
    return jax.vjp(rule, X)[1](gradient)[0]


@pytest.mark.parametrize(
    ("rule", "passes"),
    [
        (guided(jax.nn.relu), [0, 0, 1, 1, 1]),
        (guided(relu6), [0, 0, 1, 0, 0]),
        (deconvolved(jax.nn.relu), [1, 1, 1, 1, 1]),
        (deconvolved(relu6), [1, 1, 1, 1, 1]),
    ],
)
def test_gates(rule, passes):
    np.testing.assert_array_equal(pulled_back(rule, UP), 2.0 * np.array(passes))
    np.testing.assert_array_equal(pulled_back(rule, DOWN), np.zeros(5))


@pytest.mark.parametrize("plain", [jax.nn.relu, relu6, jnp.tanh])
@pytest.mark.parametrize("rule", [guided, deconvolved])
def test_the_forward_pass_is_untouched(plain, rule):
    np.testing.assert_array_equal(rule(plain)(X), plain(X))
    np.testing.assert_array_equal(jax.jit(jax.vmap(rule(plain)))(X), jax.jit(plain)(X))


def test_the_ordinary_relu_passes_nothing_at_zero():
    np.testing.assert_array_equal(pulled_back(jax.nn.relu, DOWN), [0, 0, -2, -2, -2])
    np.testing.assert_array_equal(pulled_back(relu6, DOWN), [0, 0, -2, 0, 0])


def test_one_activation_gives_one_function():
    assert guided(jax.nn.relu) is guided(jax.nn.relu)
    assert deconvolved(relu6) is deconvolved(relu6)


def test_bfloat16_stays_bfloat16():
    x = X.astype(jnp.bfloat16)
    assert jax.vjp(guided(relu6), x)[1](x)[0].dtype == jnp.bfloat16


OPTIONS = {
    jax.nn.leaky_relu: {"negative_slope": 0.3},
    jax.nn.elu: {"alpha": 0.5},
    jax.nn.celu: {"alpha": 0.5},
    jax.nn.gelu: {"approximate": False},
    jax.nn.silu: {},
}


@pytest.mark.parametrize("rule", [guided, deconvolved])
@pytest.mark.parametrize("activation", OPTIONS)
@pytest.mark.parametrize("with_options", [False, True])
def test_activations_that_take_options(rule, activation, with_options):
    options = OPTIONS[activation] if with_options else {}
    gradient = jnp.array([1.0, 2.0, -1.0, 0.5, -2.0])
    values, pull_back = jax.vjp(lambda x: rule(activation)(x, **options), X)
    expected, slope = jax.vjp(lambda x: activation(x, **options), X)
    np.testing.assert_array_equal(values, expected)
    positive = jnp.maximum(gradient, 0.0)
    np.testing.assert_allclose(
        pull_back(gradient)[0], slope(positive)[0] if rule is guided else positive, rtol=1e-6, atol=1e-7
    )


def test_an_option_may_be_positional():
    np.testing.assert_array_equal(guided(jax.nn.leaky_relu)(X, 0.3), jax.nn.leaky_relu(X, 0.3))

"""The presets against their published formulas, written out in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gradcam_jax.experiments.training.optimizers import (
    modern,
    published_captioning,
    published_captioning_with_cnn,
    published_vqa,
    with_slower,
)

_GRADIENTS = np.random.default_rng(0).normal(scale=[0.01, 1, 30], size=(5, 3))


def _path(optimizer: optax.GradientTransformation) -> np.ndarray:
    params = jnp.array([1.0, 1.0, 1.0])
    state, path = optimizer.init(params), []
    for gradient in _GRADIENTS:
        updates, state = optimizer.update(jnp.asarray(gradient, jnp.float32), state, params)
        params = optax.apply_updates(params, updates)
        path.append(np.asarray(params))
    return np.array(path)


def test_the_published_vqa_optimizer_is_its_formula():
    x, m, expected = np.ones(3), np.zeros(3), []
    for step, gradient in enumerate(_GRADIENTS):
        g = np.clip(gradient, -10, 10)
        m = 0.99 * m + 0.01 * g**2
        x = x - 3e-4 * 0.99997592083**step * g / (np.sqrt(m) + 1e-8)
        expected.append(x)
    np.testing.assert_allclose(_path(published_vqa()), expected, rtol=1e-6)


def test_the_published_captioning_optimizer_is_its_formula():
    x, m, v, expected = np.ones(3), np.zeros(3), np.zeros(3), []
    for step, gradient in enumerate(_GRADIENTS, 1):
        g = np.clip(gradient, -0.1, 0.1)
        m, v = 0.8 * m + 0.2 * g, 0.999 * v + 0.001 * g**2
        x = x - 4e-4 * np.sqrt(1 - 0.999**step) / (1 - 0.8**step) * m / (np.sqrt(v) + 1e-8)
        expected.append(x)
    np.testing.assert_allclose(_path(published_captioning()), expected, rtol=1e-6)


@pytest.mark.parametrize("steps", [5, 1000])
def test_the_modern_one_leaves_biases_undecayed(steps):
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    optimizer = modern(0.1, steps, warmup=1, weight_decay=0.5)
    zeros = jax.tree.map(jnp.zeros_like, params)
    state = optimizer.init(params)
    for _ in range(2):
        updates, state = optimizer.update(zeros, state, params)
    np.testing.assert_array_equal(updates["bias"], 0)
    assert np.all(updates["kernel"] < 0)


def test_the_cnn_has_a_rate_of_its_own_and_gradients_as_they_are():
    params = {name: jnp.ones(3) for name in ("cnn", "image_embedding", "lstm")}
    optimizer = published_captioning_with_cnn()
    state, paths = optimizer.init(params), {name: np.ones(3) for name in params}
    moments = {name: (np.zeros(3), np.zeros(3)) for name in params}
    for step, gradient in enumerate(_GRADIENTS, 1):
        gradients = {name: jnp.asarray(gradient, jnp.float32) for name in params}
        updates, state = optimizer.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
        for name, (m, v) in moments.items():
            g, rate = (np.clip(gradient, -0.1, 0.1), 4e-4) if name == "lstm" else (gradient, 1e-5)
            m, v = 0.8 * m + 0.2 * g, 0.999 * v + 0.001 * g**2
            moments[name] = m, v
            paths[name] -= rate * np.sqrt(1 - 0.999**step) / (1 - 0.8**step) * m / (np.sqrt(v) + 1e-8)
    for name, path in paths.items():
        np.testing.assert_allclose(params[name], path, rtol=1e-6)


def test_one_part_of_the_parameters_is_moved_by_a_fraction_of_the_steps():
    params = {"a": {"kernel": jnp.ones(3)}, "b": {"kernel": jnp.ones(3), "bias": jnp.ones(2)}}
    gradients = jax.tree.map(lambda leaf: leaf * jnp.arange(1, leaf.size + 1), params)
    plain, slower = optax.adam(0.1), with_slower(optax.adam(0.1), "b", 0.25)
    expected, _ = plain.update(gradients, plain.init(params), params)
    found, _ = slower.update(gradients, slower.init(params), params)
    np.testing.assert_array_equal(found["a"]["kernel"], expected["a"]["kernel"])
    for name in ("kernel", "bias"):
        np.testing.assert_allclose(found["b"][name], 0.25 * expected["b"][name], rtol=1e-6)


def test_the_modern_ones_last_steps_start_at_a_rate_of_their_own():
    params = jnp.ones((1, 1))
    optimizer = modern(0.1, 30, warmup=5, weight_decay=0.0, last=10, last_rate=0.02)
    state, moved = optimizer.init(params), []
    for _ in range(30):
        updates, state = optimizer.update(jnp.full((1, 1), 0.5), state, params)
        moved.append(-float(updates[0, 0]))  # Adam moves by the rate where the gradient stays the same
    assert max(moved) == pytest.approx(0.1, rel=1e-3)
    assert moved[19] < 0.002
    np.testing.assert_allclose(moved[20:], 0.02 * (1 - np.arange(10) / 10), rtol=1e-3)

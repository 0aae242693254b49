"""The LSTM layer: one step by hand, padding, and batches against examples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.models.lstm import Lstm, LstmState


@pytest.fixture
def layer() -> tuple[Lstm, dict]:
    model = Lstm(6, bias_init=jax.nn.initializers.normal(0.3))
    return model, model.init(jax.random.key(1), jnp.ones((4, 3)), jnp.int32(4))


def test_one_step_computed_by_hand():
    model = Lstm(1)
    parameters = {
        "i2h": {"kernel": jnp.array([[0.1, 0.2, 0.3, 0.4]]), "bias": jnp.array([0.5, 0.0, -0.5, 0.25])},
        "h2h": {"kernel": jnp.array([[1.0, -1.0, 2.0, 0.5]]), "bias": jnp.array([0.0, 0.1, 0.0, -0.25])},
    }
    state = LstmState(jnp.array([0.7]), jnp.array([0.2]))
    cell, hidden = model.apply({"params": parameters}, state, jnp.array([2.0]), method="step")

    def sigmoid(value: float) -> float:
        return 1 / (1 + np.exp(-value))

    into, forget, out = sigmoid(0.2 + 0.5 + 0.2), sigmoid(0.4 + 0.1 - 0.2), sigmoid(0.6 - 0.5 + 0.4)
    expected = forget * 0.7 + into * np.tanh(0.8 + 0.25 - 0.25 + 0.1)
    np.testing.assert_allclose(cell, [expected], rtol=1e-6)
    np.testing.assert_allclose(hidden, [out * np.tanh(expected)], rtol=1e-6)


def test_parameters_are_named_as_the_checkpoints_expect(layer):
    shapes = jax.tree.map(jnp.shape, layer[1]["params"])
    assert shapes == {
        "i2h": {"kernel": (3, 24), "bias": (24,)},
        "h2h": {"kernel": (6, 24), "bias": (24,)},
    }


@pytest.mark.parametrize("length", [1, 2, 5])
def test_padding_changes_nothing_at_all(layer, length):
    model, variables = layer
    sequence = jax.random.normal(jax.random.key(2), (8, 3))
    padded, hidden = model.apply(variables, sequence, jnp.int32(length))
    bare, bare_hidden = model.apply(variables, sequence[:length], jnp.int32(length))
    np.testing.assert_array_equal(padded.cell, bare.cell)
    np.testing.assert_array_equal(padded.hidden, bare.hidden)
    np.testing.assert_array_equal(hidden[:length], bare_hidden)
    np.testing.assert_array_equal(hidden[length:], jnp.tile(bare.hidden, (8 - length, 1)))


def test_padding_gets_no_gradient(layer):
    model, variables = layer
    sequence = jax.random.normal(jax.random.key(2), (8, 3))
    gradient = jax.grad(lambda x: jnp.sum(model.apply(variables, x, jnp.int32(3))[0].cell))(sequence)
    np.testing.assert_array_equal(np.any(gradient != 0, axis=-1), [True] * 3 + [False] * 5)


def test_a_batch_is_its_examples(layer):
    model, variables = layer
    sequences = jax.random.normal(jax.random.key(3), (2, 3, 5, 3))
    lengths = jnp.array([[0, 1, 2], [3, 4, 5]])
    batch, hidden = model.apply(variables, sequences, lengths)
    single, single_hidden = jax.vmap(jax.vmap(lambda x, n: model.apply(variables, x, n)))(sequences, lengths)
    np.testing.assert_allclose(batch.cell, single.cell, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(hidden, single_hidden, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(batch.cell[0, 0], jnp.zeros(6))


def test_steps_one_by_one_are_the_sequence(layer):
    model, variables = layer
    sequence = jax.random.normal(jax.random.key(4), (4, 3))
    state = model.initial_state()
    for x in sequence:
        state = model.apply(variables, state, x, method="step")
    whole, _ = model.apply(variables, sequence, jnp.int32(4))
    np.testing.assert_allclose(state.cell, whole.cell, rtol=1e-6, atol=1e-7)

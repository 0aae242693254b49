"""One LSTM layer over padded batches, as in the original program's two recurrent models.

The gates are packed in the order (in, forget, out, candidate); both linear maps have a bias; there are no
peepholes and no forget offset. A deep LSTM is a sequence of these modules.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp


class LstmState(NamedTuple):
    """A layer's state: the cell and the hidden vector, ``(..., features)`` each, in this order."""

    cell: jax.Array
    hidden: jax.Array


class Lstm(nn.Module):
    r"""One layer of long short-term memory.

    .. math::
        a &= W_{i2h} x_t + b_{i2h} + W_{h2h} h_{t-1} + b_{h2h} \\
        i, f, o &= \sigma(a_1), \sigma(a_2), \sigma(a_3), \quad g = \tanh(a_4) \\
        c_t &= f \, c_{t-1} + i \, g, \quad h_t = o \tanh(c_t)

    with :math:`a_1 \dots a_4` the quarters of a. Parameters: ``i2h`` and ``h2h``, each ``kernel (in, 4H)`` and
    ``bias (4H,)``.

    Attributes:
        features: Length H of the cell and of the hidden vector.
        kernel_init: Initialiser of both kernels.
        bias_init: Initialiser of both biases.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> layer, words = Lstm(4), jnp.ones((2, 5, 3))
        >>> variables = layer.init(jax.random.key(0), words, jnp.array([5, 2]))
        >>> state, hidden = layer.apply(variables, words, jnp.array([5, 2]))
        >>> state.cell.shape, hidden.shape
        ((2, 4), (2, 5, 4))

    References:
        Hochreiter and Schmidhuber, Long Short-Term Memory, 1997; VT-vision-lab/VQA_LSTM_CNN ``misc/LSTM.lua``;
        karpathy/neuraltalk2 ``misc/LSTM.lua``.
    """

    features: int
    kernel_init: jax.nn.initializers.Initializer = nn.initializers.lecun_normal()
    bias_init: jax.nn.initializers.Initializer = nn.initializers.zeros_init()

    def setup(self) -> None:
        """Declares the two linear maps."""
        self.i2h = nn.Dense(4 * self.features, kernel_init=self.kernel_init, bias_init=self.bias_init)
        self.h2h = nn.Dense(4 * self.features, kernel_init=self.kernel_init, bias_init=self.bias_init)

    def initial_state(self, leading: tuple[int, ...] = (), dtype: jnp.dtype | type = jnp.float32) -> LstmState:
        """Returns the state before the first step, zeros of shape ``(*leading, features)``."""
        zeros = jnp.zeros((*leading, self.features), dtype)
        return LstmState(zeros, zeros)

    def step(self, state: tuple[jax.Array, jax.Array], x: jax.Array) -> LstmState:
        """Takes one step: ``(cell, hidden)`` of ``(..., features)`` and x of ``(..., in)`` to the next state."""
        cell, hidden = state
        gates, candidate = jnp.split(self.i2h(x) + self.h2h(hidden), [3 * self.features], axis=-1)
        into, forget, out = jnp.split(jax.nn.sigmoid(gates), 3, axis=-1)
        cell = forget * cell + into * jnp.tanh(candidate)
        return LstmState(cell, out * jnp.tanh(cell))

    def __call__(
        self, sequence: jax.Array, lengths: jax.Array, state: LstmState | None = None
    ) -> tuple[LstmState, jax.Array]:
        """Runs over a padded sequence; the padding past an example's length changes nothing.

        Args:
            sequence: ``(..., time, in)``, left-aligned.
            lengths: Number of real steps, ``(...)`` int; from 0 to time.
            state: The state before the first step, zeros by default.

        Returns:
            The state after each example's last real step, and the hidden vectors ``(..., time, features)``,
            which repeat the last one past the length. Both equal those of the unpadded sequence exactly.
        """
        start = self.initial_state(sequence.shape[:-2], sequence.dtype) if state is None else state

        def advance(
            layer: "Lstm", state: LstmState, inputs: tuple[jax.Array, jax.Array]
        ) -> tuple[LstmState, jax.Array]:
            x, time = inputs
            is_real = (time < lengths)[..., jnp.newaxis]
            state = jax.tree.map(lambda new, old: jnp.where(is_real, new, old), layer.step(state, x), state)
            return state, state.hidden

        scan = nn.scan(advance, variable_broadcast="params", split_rngs={"params": False})
        final, hidden = scan(self, start, (jnp.moveaxis(sequence, -2, 0), jnp.arange(sequence.shape[-2])))
        return final, jnp.moveaxis(hidden, 0, -2)

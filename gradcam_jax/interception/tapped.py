"""A model as a pure function that shows, shifts and replaces the activations of its layers.

An adapter beside this file turns one kind of model into a :class:`Program`; :class:`Tapped` is a program with its
variables. Everything above (the engine, the tasks) knows no other kind of model.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from gradcam_jax.attribution.gradients import Activations, Forward
from gradcam_jax.interception.names import as_names

ReluRule = Callable[[Callable[[jax.Array], jax.Array]], Callable[[jax.Array], jax.Array]]


class Call(NamedTuple):
    """One call of a model.

    Attributes:
        layers: The layers whose activations are returned.
        inputs: One example of the model's inputs.
        taps: Layer name -> value added to its activation.
        replaced: Layer name -> value that takes the place of its activation.
    """

    layers: tuple[str, ...]
    inputs: tuple[Any, ...]
    taps: Mapping[str, jax.Array] = {}
    replaced: Mapping[str, jax.Array] = {}


class Program(Protocol):
    """What an adapter knows of one kind of model; hashable, since compiled functions are found by it."""

    def run(self, variables: Any, call: Call) -> tuple[Any, Activations]:
        """Runs the model on one example, and returns its outputs and the call's layers."""
        ...

    def layer_shapes(self, variables: Any, *inputs: Any) -> dict[str, jax.ShapeDtypeStruct]:
        """Lists every layer that can be tapped, in the order of its call, for one example."""
        ...

    def with_relu_rule(self, rule: ReluRule) -> "Program":
        """Returns the program with another backward rule in its rectifiers."""
        ...

    def prepared(self, variables: Any, *inputs: Any) -> Any:
        """Returns the variables with what the model can compute from them beforehand."""
        ...

    def cast(self, variables: Any, layers: set[str], dtype: Any) -> Any:
        """Returns the variables with the parameters of some layers in another type."""
        ...


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["variables"],
    meta_fields=["program", "layers", "precision", "dense"],
)
@dataclasses.dataclass(frozen=True)
class Tapped:
    """A model tapped at named layers: ``forward(taps, *inputs) -> (outputs, activations)``, of one example.

    A pytree whose leaves are the variables: an argument of a function under ``jax.jit``, it brings the weights as
    arguments, where a closure would make them constants of the program.

    Attributes:
        variables: The model's variables, a tree of arrays.
        program: How the model is run.
        layers: The tapped layers.
        precision: What :func:`gradcam_jax.explain` computes in (see :func:`gradcam_jax.prepared`); empty: as JAX
            is configured.
        dense: The fully connected layer whose weights may be summed over positions (see
            :func:`gradcam_jax.with_summed_head`), or empty.
    """

    variables: Any
    program: Program
    layers: tuple[str, ...]
    precision: str = ""
    dense: str = ""

    def __call__(self, taps: Mapping[str, jax.Array], *inputs: Any) -> tuple[Any, Activations]:
        """Runs the model on one example.

        Args:
            taps: Layer name -> value added to its activation; layers may be left out.
            *inputs: One example of what the model takes, without a batch axis.

        Returns:
            The outputs and every tapped layer's activation, the added value included.

        Raises:
            LayerError: A layer was not reached (the nearest names are listed), was reached more than once without
                an occurrence being named, or returned something else than an array.
        """
        return self.program.run(self.variables, Call(self.layers, inputs, taps))

    def at(self, layers: str | Sequence[str]) -> "Tapped":
        """Returns the same model tapped at other layers."""
        return dataclasses.replace(self, layers=as_names(layers))

    def resumed(self, start: str) -> Forward:
        """Returns what follows a layer as ``forward(taps, activation, *inputs) -> (outputs, activations)``.

        Under ``jax.jit`` the compiler drops the layers before, whose result is replaced; where a skip connection
        passes the layer by, they are computed from the inputs.

        Args:
            start: The layer whose activation is given.
        """
        names = as_names((start, *self.layers))

        def forward(taps: Mapping[str, jax.Array], activation: jax.Array, *inputs: Any) -> tuple[Any, Activations]:
            outputs, activations = self.program.run(self.variables, Call(names, inputs, taps, {start: activation}))
            return outputs, {name: activations[name] for name in self.layers}

        return forward

    def with_relu_rule(self, rule: ReluRule) -> "Tapped":
        """Returns the model with another backward rule in its rectifiers, :func:`gradcam_jax.guided` for example.

        Raises:
            InputError: If the model's rectifiers cannot be replaced.
        """
        return dataclasses.replace(self, program=self.program.with_relu_rule(rule))


def layer_shapes(forward: Tapped, *inputs: Any) -> dict[str, jax.ShapeDtypeStruct]:
    """Lists every layer that can be tapped, in the order of its call, with its activation's shape and dtype.

    Nothing is computed. A module that is called several times is listed once a call, as ``"relu:0"``,
    ``"relu:1"``.

    Args:
        forward: A tapped model; its own layers do not matter, there need be none.
        *inputs: One example of the inputs, or its shapes.

    Returns:
        Layer name -> shape and dtype, without a batch axis.

    Example:
        >>> import flax.linen as nn, gradcam_jax as gc, jax, jax.numpy as jnp
        >>> model = nn.Sequential([nn.Dense(4), nn.relu, nn.Dense(2)])
        >>> variables = model.init(jax.random.key(0), jnp.ones((1, 3)))
        >>> shapes = layer_shapes(gc.tapped(model, variables), jnp.ones(3))
        >>> {name: leaf.shape for name, leaf in shapes.items()}
        {'layers_0': (4,), 'layers_2': (2,)}
    """
    return forward.program.layer_shapes(forward.variables, *inputs)


def on_device(variables: Any) -> Any:
    """Returns the variables with numpy arrays put on the default device once, not in every call."""
    leaves, structure = jax.tree.flatten(variables)
    placed = iter(jax.device_put([leaf for leaf in leaves if isinstance(leaf, np.ndarray)]))
    return structure.unflatten([next(placed) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves])

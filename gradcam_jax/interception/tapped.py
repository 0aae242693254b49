"""A model as a pure function that shows, shifts and replaces the activations of its layers.

An adapter beside this file turns one kind of model into a :class:`Program`, which names what the layers return;
:class:`Tapped` is a program with its variables. It is traced, and each call evaluates the trace.
Everything above (the engine, the tasks) knows no other kind of model.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr

from gradcam_jax.attribution.gradients import Activations, Forward
from gradcam_jax.errors import InputError
from gradcam_jax.interception.evaluation import Edit, ReluRule, evaluate
from gradcam_jax.interception.names import as_names
from gradcam_jax.interception.sites import (
    Place,
    can_be_repeated,
    count_rectifiers,
    find_site,
    numbered,
    read_body,
)


class Program(Protocol):
    """What an adapter knows of one kind of model; hashable, since compiled functions are found by it.

    Attributes:
        batch_axis: Whether the model is given one example with a leading axis of length 1.
    """

    @property
    def batch_axis(self) -> bool:
        """Whether the model is given one example with a leading axis of length 1."""
        ...

    def call(self, variables: Any, *inputs: Any) -> Any:
        """Returns the outputs of one example; what each layer returns is :func:`marked` on the way."""
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
    meta_fields=["program", "layers", "precision", "dense", "rule"],
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
        rule: Makes another function of each rectifier, or None.
    """

    variables: Any
    program: Program
    layers: tuple[str, ...]
    precision: str = ""
    dense: str = ""
    rule: ReluRule | None = None

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
        return self._run(inputs, taps, {})

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
            outputs, activations = self.at(names)._run(inputs, taps, {start: activation})
            return outputs, {name: activations[name] for name in self.layers}

        return forward

    def with_relu_rule(self, rule: ReluRule) -> "Tapped":
        """Returns the model with another backward rule in its rectifiers, :func:`gradcam_jax.guided` for example.

        Every rectifier is replaced, however it is written: :func:`gradcam_jax.rectifiers` says which. When it is
        called the forward raises InputError if there is none, or one where it cannot be replaced.
        """
        return dataclasses.replace(self, rule=rule)

    def _run(
        self, inputs: tuple[Any, ...], taps: Mapping[str, jax.Array], replaced: Mapping[str, jax.Array]
    ) -> tuple[Any, Activations]:
        program, outputs, place = _trace(self, inputs)
        sites = read_body(program, place).all_sites
        for layer, value in replaced.items():
            if value.dtype != sites[find_site(layer, sites)].value.dtype:
                # What follows is computed in the value's type, as it is where the inputs have that type.
                inputs = jax.tree.map(functools.partial(_as_type, value.dtype), inputs)
                program, outputs, place = _trace(self, inputs)
        if self.rule is not None and not count_rectifiers(program):
            raise InputError("Expected a model with rectifiers to replace, such as jax.nn.relu: it has none.")
        numbers = {layer: find_site(layer, sites) for layer in self.layers}
        edit = Edit(
            frozenset(numbers.values()),
            {numbers[layer]: tap for layer, tap in taps.items() if layer in numbers},
            {numbers[layer]: (value,) for layer, value in replaced.items()},
            self.rule,
        )
        results, records = evaluate(program, place, edit, jax.tree.leaves((self.variables, inputs)))
        return jax.tree.unflatten(outputs, results), {name: records[number] for name, number in numbers.items()}


def _as_type(dtype: Any, leaf: Any) -> Any:
    return jnp.asarray(leaf, dtype) if jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.floating) else leaf


@functools.partial(jax.jit, static_argnums=0)
def _call(program: Program, variables: Any, inputs: tuple[Any, ...]) -> Any:
    return program.call(variables, *inputs)


def _trace(forward: Tapped, inputs: tuple[Any, ...]) -> tuple[ClosedJaxpr, Any, Place]:
    """Returns the program of a call, found again for inputs of the same shapes, and its outputs' structure."""
    arguments = forward.variables, inputs
    traced = _call.trace(forward.program, *arguments)
    program, outputs = traced.jaxpr, traced.out_tree
    closes_over_tracers = len(program.in_avals) != len(jax.tree.leaves(arguments))
    if closes_over_tracers or not can_be_repeated(program):
        call = functools.partial(forward.program.call)  # a new function, so a new program
        program, shapes = jax.make_jaxpr(call, return_shape=True)(forward.variables, *inputs)
        outputs = jax.tree.structure(shapes)
    return program, outputs, Place("", forward.program.batch_axis)


def layer_shapes(forward: Tapped, *inputs: Any) -> dict[str, jax.ShapeDtypeStruct]:
    """Lists every layer that can be tapped, in the order of its call, with its activation's shape and dtype.

    Nothing is computed. A module that is called several times is listed once a call, as ``"relu:0"``,
    ``"relu:1"``; so is one inside ``scan`` or ``vmap``. A rectifier that no module returns is named after the
    module before it: ``"conv.relu"``.

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
        {'layers_0': (4,), 'layers_0.relu': (4,), 'layers_2': (2,)}
    """
    program, _, place = _trace(forward, inputs)
    sites = read_body(program, place).all_sites
    names = numbered([site.name for site in sites])
    return {name: site.value for name, site in zip(names, sites, strict=True)}


def rectifiers(forward: Tapped, *inputs: Any) -> dict[str, int]:
    """Counts the rectifiers whose backward rule :meth:`Tapped.with_relu_rule` replaces, by kind.

    A rectifier is an elementwise function of one array that is nearly flat on one side of zero and rises on the
    other, to a straight line or to a ceiling: ReLU, ReLU6, leaky ReLU, ELU, GELU, SiLU, softplus and their like,
    called by name or spelled out (``jnp.maximum(x, 0)``); and PReLU, whose slope is a parameter, as
    ``jnp.where(x >= 0, x, slope * x)``. Sigmoids and tanh are none. Inside a program that is called several times,
    ``scan`` for example, it counts once.

    Args:
        forward: A tapped model.
        *inputs: One example of the inputs, or its shapes.

    Returns:
        The name in ``jax.nn``, ``"prelu"`` or ``"activation"``, -> how many.

    Example:
        >>> import gradcam_jax as gc, jax, jax.numpy as jnp
        >>> forward = gc.tapped_functions({"a": lambda x: jnp.maximum(x, 0), "b": jax.nn.silu}, ())
        >>> rectifiers(forward, jnp.ones(3))
        {'relu': 1, 'silu': 1}
    """
    program, _, _ = _trace(forward, inputs)
    return dict(count_rectifiers(program))


def on_device(variables: Any) -> Any:
    """Returns the variables with numpy arrays put on the default device once, not in every call."""
    leaves, structure = jax.tree.flatten(variables)
    placed = iter(jax.device_put([leaf for leaf in leaves if isinstance(leaf, np.ndarray)]))
    return structure.unflatten([next(placed) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves])

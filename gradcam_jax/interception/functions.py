"""Taps a model given as plain functions in a row, such as ``(features, head)``: any framework, no module."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.interception.marks import marked
from gradcam_jax.interception.names import as_names, require_layers
from gradcam_jax.interception.tapped import Tapped, on_device

Stages = Mapping[str, Callable[..., Any]]


def tapped_functions(stages: Stages, layers: str | Sequence[str]) -> Tapped:
    """Returns functions composed in order as a tapped model.

    Args:
        stages: Name -> function of one example, in order; the first takes the inputs, each other what came before
            it. A model cut in two is ``{"features": features, "head": head}``. A callable that is a pytree, such
            as an Equinox layer, brings its arrays as the variables; weights that a function closes over are
            constants of a compiled program.
        layers: Names of the stages to tap, or of rectifiers inside them (``"features.relu"``).

    Returns:
        A :class:`Tapped`, whose variables are those of each stage by its name.

    Raises:
        LayerError: If a name is not among the stages.

    Example:
        >>> import jax.numpy as jnp
        >>> forward = tapped_functions({"features": jnp.square, "head": jnp.sum}, "features")
        >>> forward({"features": jnp.ones(2)}, jnp.array([1.0, 2.0]))
        (Array(7., dtype=float32), {'features': Array([2., 5.], dtype=float32)})
    """
    names = as_names(layers)
    require_layers([name for name in names if name.rpartition(".")[0] not in stages], list(stages))
    taken_apart = {name: _take_apart(stage) for name, stage in stages.items()}
    variables = {name: arrays for name, (_, arrays) in taken_apart.items() if arrays}
    program = FunctionsProgram(tuple((name, stage) for name, (stage, _) in taken_apart.items()))
    return Tapped(on_device(variables), program, names)


class Stage(NamedTuple):
    """A callable without its arrays; hashable.

    Attributes:
        structure: What puts its leaves together.
        leaves: Its leaves, None in place of each array.
    """

    structure: Any
    leaves: tuple[Any, ...]

    def with_arrays(self, arrays: Sequence[Any]) -> Callable[..., Any]:
        """Returns the callable with these arrays, in the order of their places."""
        given = iter(arrays)
        return jax.tree.unflatten(self.structure, [next(given) if leaf is None else leaf for leaf in self.leaves])


def _take_apart(stage: Callable[..., Any]) -> tuple[Stage, list[Any]]:
    leaves, structure = jax.tree.flatten(stage)
    arrays = [leaf for leaf in leaves if isinstance(leaf, jax.Array | np.ndarray)]
    rest = Stage(structure, tuple(None if isinstance(leaf, jax.Array | np.ndarray) else leaf for leaf in leaves))
    try:
        hash(rest)
    except TypeError:  # then it is told from others by its identity
        whole = functools.partial(stage)
        return Stage(jax.tree.structure(whole), (whole,)), []
    return rest, arrays


class FunctionsProgram(NamedTuple):
    """Functions composed in order, as a :class:`gradcam_jax.interception.tapped.Program`.

    Attributes:
        stages: Names and functions.
        batch_axis: Whether the functions take and return batches.
    """

    stages: tuple[tuple[str, Stage], ...]
    batch_axis: bool = False

    def call(self, variables: Any, *inputs: Any) -> Any:
        """Runs the functions one after the other, and marks what each returns."""
        values = inputs
        for name, stage in self.stages:
            function = stage.with_arrays(variables.get(name, ()))
            values = (marked(function(*values), name, batched=False),)
        return values[0]

    def prepared(self, variables: Any, *inputs: Any) -> Any:
        """Returns the variables as they are."""
        del inputs
        return variables

    def cast(self, variables: Any, layers: set[str], dtype: Any) -> Any:
        """Raises InputError: what plain functions close over cannot be converted."""
        del variables, layers, dtype
        raise InputError("The weights inside plain functions cannot be converted; convert them before.")

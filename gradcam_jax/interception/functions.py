"""Taps a model given as plain functions in a row, such as ``(features, head)``: any framework, no module."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gradcam_jax.errors import InputError
from gradcam_jax.interception.marks import marked
from gradcam_jax.interception.names import as_names, require_layers
from gradcam_jax.interception.tapped import Tapped

Stages = Mapping[str, Callable[..., Any]]


def tapped_functions(stages: Stages, layers: str | Sequence[str]) -> Tapped:
    """Returns functions composed in order as a tapped model.

    Args:
        stages: Name -> function of one example, in order; the first takes the inputs, each other what came before
            it. A model cut in two is ``{"features": features, "head": head}``. Weights that a function closes
            over are constants of a compiled program.
        layers: Names of the stages to tap, or of rectifiers inside them (``"features.relu"``).

    Returns:
        A :class:`Tapped` without variables.

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
    return Tapped({}, FunctionsProgram(tuple(stages.items())), names)


class FunctionsProgram(NamedTuple):
    """Functions composed in order, as a :class:`gradcam_jax.interception.tapped.Program`.

    Attributes:
        stages: Names and functions.
        batch_axis: Whether the functions take and return batches.
    """

    stages: tuple[tuple[str, Callable[..., Any]], ...]
    batch_axis: bool = False

    def call(self, variables: Any, *inputs: Any) -> Any:
        """Runs the functions one after the other, and marks what each returns."""
        del variables
        values = inputs
        for name, stage in self.stages:
            values = (marked(stage(*values), name, batched=False),)
        return values[0]

    def prepared(self, variables: Any, *inputs: Any) -> Any:
        """Returns the variables as they are."""
        del inputs
        return variables

    def cast(self, variables: Any, layers: set[str], dtype: Any) -> Any:
        """Raises InputError: what plain functions close over cannot be converted."""
        del variables, layers, dtype
        raise InputError("The weights inside plain functions cannot be converted; convert them before.")

"""Taps a model given as plain functions in a row, such as ``(features, head)``: any framework, no module."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from gradcam_jax.attribution.gradients import Activations
from gradcam_jax.errors import InputError
from gradcam_jax.interception.names import as_names, require_layers
from gradcam_jax.interception.tapped import Call, ReluRule, Tapped

Stages = Mapping[str, Callable[..., Any]]


def tapped_functions(stages: Stages, layers: str | Sequence[str]) -> Tapped:
    """Returns functions composed in order as a tapped model.

    Args:
        stages: Name -> function of one example, in order; the first takes the inputs, each other what came before
            it. A model cut in two is ``{"features": features, "head": head}``. Weights that a function closes
            over are constants of a compiled program.
        layers: Names of the stages to tap.

    Returns:
        A :class:`Tapped` without variables. Its rectifiers are not known; for guided backpropagation give a
        second one, made of functions with guided rectifiers, as ``explain(..., guided=forward)``.

    Raises:
        LayerError: If a name is not among the stages.

    Example:
        >>> import jax.numpy as jnp
        >>> forward = tapped_functions({"features": jnp.square, "head": jnp.sum}, "features")
        >>> forward({"features": jnp.ones(2)}, jnp.array([1.0, 2.0]))
        (Array(7., dtype=float32), {'features': Array([2., 5.], dtype=float32)})
    """
    names = as_names(layers)
    require_layers(names, list(stages))
    return Tapped({}, FunctionsProgram(tuple(stages.items())), names)


class FunctionsProgram(NamedTuple):
    """Functions composed in order, as a :class:`gradcam_jax.interception.tapped.Program`.

    Attributes:
        stages: Names and functions.
    """

    stages: tuple[tuple[str, Callable[..., Any]], ...]

    def run(self, variables: Any, call: Call) -> tuple[Any, Activations]:
        """Runs the functions one after the other."""
        del variables
        require_layers(call.layers, [name for name, _ in self.stages])
        activations: Activations = {}
        values = call.inputs
        for name, stage in self.stages:
            value = call.replaced[name] if name in call.replaced else stage(*values)
            if name in call.layers:
                value = value + call.taps[name] if name in call.taps else value
                activations[name] = value
            values = (value,)
        return values[0], activations

    def layer_shapes(self, variables: Any, *inputs: Any) -> dict[str, jax.ShapeDtypeStruct]:
        """Lists the functions with the shape and dtype of what each returns."""
        names = tuple(name for name, _ in self.stages)
        return jax.eval_shape(lambda *inputs: self.run(variables, Call(names, inputs))[1], *inputs)

    def with_relu_rule(self, rule: ReluRule) -> "FunctionsProgram":
        """Raises InputError: the rectifiers inside plain functions are not known."""
        del rule
        raise InputError(
            "The rectifiers inside plain functions are not known. Make a second forward of functions with guided "
            "rectifiers (gradcam_jax.guided(jax.nn.relu)) and pass it: explain(..., guided=guided_forward)."
        )

    def prepared(self, variables: Any, *inputs: Any) -> Any:
        """Returns the variables as they are."""
        del inputs
        return variables

    def cast(self, variables: Any, layers: set[str], dtype: Any) -> Any:
        """Raises InputError: what plain functions close over cannot be converted."""
        del variables, layers, dtype
        raise InputError("The weights inside plain functions cannot be converted; convert them before.")

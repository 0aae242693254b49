"""Taps a model given as plain functions in a row, such as ``(features, head)``: any framework, no module."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from gradcam_jax.attribution.gradients import Activations, Forward
from gradcam_jax.interception.names import as_names, require_layers

Stages = Mapping[str, Callable[..., Any]]


def tapped_split(stages: Stages, layers: str | Sequence[str]) -> Forward:
    """Returns functions composed in order as ``forward(taps, *inputs) -> (outputs, activations)``.

    Args:
        stages: Name -> function, in order; the first takes the inputs, each other what came before it. A
            model cut in two is ``{"features": features, "head": head}``.
        layers: Names of the stages to tap.

    Returns:
        A pure function, as :func:`gradcam_jax.tapped` returns.

    Raises:
        LayerError: If a name is not among the stages.

    Example:
        >>> import jax.numpy as jnp
        >>> forward = tapped_split({"features": jnp.square, "head": jnp.sum}, "features")
        >>> forward({"features": jnp.ones(2)}, jnp.array([1.0, 2.0]))
        (Array(7., dtype=float32), {'features': Array([2., 5.], dtype=float32)})
    """
    names = as_names(layers)
    require_layers(names, list(stages))

    def forward(taps: Mapping[str, jax.Array], *inputs: Any) -> tuple[Any, Activations]:
        activations: Activations = {}
        values = inputs
        for name, stage in stages.items():
            value = stage(*values)
            if name in names:
                value = value + taps[name] if name in taps else value
                activations[name] = value
            values = (value,)
        return values[0], activations

    return forward


def split_layer_shapes(stages: Stages, *inputs: Any) -> dict[str, jax.ShapeDtypeStruct]:
    """Lists the stages with the shape and dtype of what each returns. Nothing is computed.

    Example:
        >>> import jax.numpy as jnp
        >>> shapes = split_layer_shapes({"features": jnp.square, "head": jnp.sum}, jnp.ones(2))
        >>> {name: leaf.shape for name, leaf in shapes.items()}
        {'features': (2,), 'head': ()}
    """

    def run(*inputs: Any) -> Activations:
        return tapped_split(stages, list(stages))({}, *inputs)[1]

    return jax.eval_shape(run, *inputs)

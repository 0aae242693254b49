"""``tapped``: a Flax model, Linen or NNX, as a tapped model."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import flax.linen as nn

from gradcam_jax.errors import InputError
from gradcam_jax.interception import linen
from gradcam_jax.interception.tapped import Tapped

if TYPE_CHECKING:
    from flax import nnx

Layers = str | Sequence[str]


@overload
def tapped(
    model: nn.Module,
    variables: Mapping[str, Any],
    layers: Layers = (),
    /,
    *,
    batch_axis: bool = True,
    rngs: Any = None,
    **call_options: Any,
) -> Tapped: ...


@overload
def tapped(
    model: "nnx.Module",
    layers: Layers = (),
    /,
    *,
    batch_axis: bool = True,
    rngs: "nnx.Rngs | None" = None,
    **call_options: Any,
) -> Tapped: ...


def tapped(model: Any, *arguments: Any, batch_axis: bool = True, rngs: Any = None, **call_options: Any) -> Tapped:
    """Returns a Flax model as a pure function of one example, tapped at the named layers.

    ``tapped(model, variables, layers)`` for Linen, ``tapped(model, layers)`` for NNX. The model is not changed.

    Args:
        model: A Linen or an NNX module.
        *arguments: Of a Linen module its variables, ``{"params": ..., ...}``; then the names of the layers as
            :func:`gradcam_jax.layer_shapes` lists them: module paths such as ``"block1/conv2"`` in Linen and
            ``"block1.conv2"`` in NNX. A module that is called several times is named with the occurrence, counted
            from 0: ``"relu:1"``; an activation function that is called inline by the module before it:
            ``"conv2.relu"``.
        batch_axis: Whether the model takes and returns batches, as nearly all do: it is then given one example
            with a leading axis of length 1. False for a model of one example.
        rngs: PRNG keys for Linen's ``model.apply``; ``nnx.Rngs`` that an NNX model's call takes as ``rngs``.
        **call_options: Passed to ``model.apply`` or to the NNX model's call, for example ``train=False``.
            ``method="features"`` calls another method, and so does a function of the model and the inputs, where
            the model wants them otherwise: ``method=lambda model, images, tokens: model(tokens, pixels=images)``.

    Returns:
        A :class:`gradcam_jax.Tapped`: ``forward(taps, *inputs) -> (outputs, activations)``, without batch axes.

    Raises:
        InputError: If the model is of another kind.
        LayerError: When the forward is traced, as :meth:`gradcam_jax.Tapped.__call__` says.

    Example:
        >>> import flax.linen as nn, jax, jax.numpy as jnp
        >>> model = nn.Sequential([nn.Dense(4), nn.relu, nn.Dense(2)])
        >>> variables = model.init(jax.random.key(0), jnp.ones((1, 3)))
        >>> outputs, activations = tapped(model, variables, "layers_0")({}, jnp.ones(3))
        >>> outputs.shape, activations["layers_0"].shape
        ((2,), (4,))
        >>> from flax import nnx
        >>> model = nnx.Sequential(nnx.Linear(3, 4, rngs=nnx.Rngs(0)), nnx.relu)
        >>> outputs, activations = tapped(model, "layers.0")({}, jnp.ones(3))
        >>> outputs.shape, activations["layers.0"].shape
        ((4,), (4,))
    """
    options = {"batch_axis": batch_axis, "rngs": rngs, **call_options}
    if isinstance(model, nn.Module):
        return linen.tapped(model, *arguments, **options)
    from flax import nnx

    if isinstance(model, nnx.Module):
        from gradcam_jax.interception import nnx as nnx_adapter

        return nnx_adapter.tapped(model, *arguments, **options)
    raise InputError(
        f"Expected a Flax module, Linen or NNX, got {type(model).__name__} instead. "
        "A model of another library: tapped_functions({'features': ..., 'head': ...}, 'features')."
    )

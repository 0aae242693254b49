"""Taps any layer of an unmodified Flax Linen model.

A layer's name is its module path, ``"features/conv1"``; the activation is what the module's ``__call__``
returns. A method interceptor adds the tap and records the sum, both through the module's own variable
collections, so that it works under ``jit``, ``vmap``, ``nn.remat`` and ``nn.jit`` and no tracer leaks. Which
modules are tapped is read from a collection too: ``nn.jit`` traces modules of one class and shape once, and
tells them apart by their variables alone.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from gradcam_jax.attribution.gradients import Activations, Forward
from gradcam_jax.errors import LayerError
from gradcam_jax.interception.names import as_names, require_layers

_ASKED = "gradcam_asked"
_TAPS = "gradcam_taps"
_TAPPED = "gradcam_tapped"
_GIVEN = "gradcam_given"
_VALUE = "<value>"  # no submodule can carry this name
_ANY = "<any>"  # some call of this module was asked for, so all of them are counted


def tapped(
    model: nn.Module, variables: Mapping[str, Any], layers: str | Sequence[str], **apply_options: Any
) -> Forward:
    """Returns the model as ``forward(taps, *inputs) -> (outputs, activations)``, tapped at the named layers.

    Args:
        model: A Linen module; it is not changed.
        variables: Its variables, ``{"params": ..., ...}``.
        layers: Module paths as :func:`layer_shapes` lists them, for example ``"relu5_3"``. A module that is
            called several times is named with the occurrence, counted from 0: ``"relu:1"``.
        **apply_options: Passed to ``model.apply``, for example ``train=False``.

    Returns:
        A pure function. ``taps`` maps layer names to values added to their activations; ``activations`` holds
        every named layer's activation, the tap included.

    Raises:
        LayerError: When the forward is traced: a name was not reached (the nearest names are listed), was
            reached more than once without an occurrence being named, or returned something else than an array.

    Example:
        >>> import flax.linen as nn, jax, jax.numpy as jnp
        >>> model = nn.Sequential([nn.Dense(4), nn.relu, nn.Dense(2)])
        >>> variables = model.init(jax.random.key(0), jnp.ones(3))
        >>> forward = tapped(model, variables, "layers_0")
        >>> outputs, activations = forward({}, jnp.ones(3))
        >>> activations["layers_0"].shape
        (4,)
    """
    names = as_names(layers)

    def forward(taps: Mapping[str, jax.Array], *inputs: Any) -> tuple[Any, Activations]:
        return _apply(model, variables, names, taps, {}, inputs, apply_options)

    return forward


def resumed(
    model: nn.Module, variables: Mapping[str, Any], start: str, layers: str | Sequence[str], **apply_options: Any
) -> Forward:
    """Returns what follows a layer as ``forward(taps, activation, *inputs) -> (outputs, activations)``.

    With :func:`tapped` it cuts a model in two: ``tapped(model, variables, start)`` computes the layer's
    activation, and this goes on from there. Under ``jax.jit`` the compiler drops the layers before, whose result
    is replaced; where a skip connection passes the layer by, they are computed from the inputs once more.

    Args:
        model: A Linen module; it is not changed.
        variables: Its variables.
        start: The layer whose activation is given.
        layers: The layers to tap, as for :func:`tapped`; the start may be among them, not what comes before it.
        **apply_options: Passed to ``model.apply``.

    Returns:
        A pure function. ``activation`` is what the start returned; ``inputs`` are the model's own.

    Raises:
        LayerError: As for :func:`tapped`.

    Example:
        >>> import flax.linen as nn, jax, jax.numpy as jnp
        >>> model = nn.Sequential([nn.Dense(4), nn.relu, nn.Dense(2)])
        >>> x = jnp.ones(3)
        >>> variables = model.init(jax.random.key(0), x)
        >>> outputs, activations = tapped(model, variables, "layers_0")({}, x)
        >>> rest = resumed(model, variables, "layers_0", ())
        >>> bool((rest({}, activations["layers_0"], x)[0] == outputs).all())
        True
    """
    names = as_names((start, *as_names(layers)))

    def forward(taps: Mapping[str, jax.Array], activation: jax.Array, *inputs: Any) -> tuple[Any, Activations]:
        outputs, activations = _apply(model, variables, names, taps, {start: activation}, inputs, apply_options)
        return outputs, {name: activations[name] for name in as_names(layers)}

    return forward


def _apply(
    model: nn.Module,
    variables: Mapping[str, Any],
    names: tuple[str, ...],
    taps: Mapping[str, jax.Array],
    given: Mapping[str, jax.Array],
    inputs: tuple[Any, ...],
    apply_options: Mapping[str, Any],
) -> tuple[Any, Activations]:
    collections = {
        **variables,
        _ASKED: _nested({name: jnp.zeros(()) for name in names}),
        _TAPS: _nested({name: taps[name] for name in names if name in taps}),
        _GIVEN: _nested(given),
    }
    with nn.intercept_methods(_tap):
        outputs, recorded = cast(
            tuple[Any, Mapping[str, Any]],
            model.apply(collections, *inputs, mutable=[_TAPPED], **apply_options),
        )
    found = _flat(recorded.get(_TAPPED, {}))
    if any(_key(name, found) not in found for name in names):
        require_layers(names, list(layer_shapes(model, variables, *inputs, **apply_options)))
    return outputs, {name: found[_key(name, found)] for name in names}


def layer_shapes(
    model: nn.Module, variables: Mapping[str, Any], *inputs: Any, **apply_options: Any
) -> dict[str, jax.ShapeDtypeStruct]:
    """Lists every layer that can be tapped, in the order of its call, with its activation's shape and dtype.

    Nothing is computed. A module that is called several times is listed once a call, as ``"relu:0"``,
    ``"relu:1"``.

    Args:
        model: A Linen module.
        variables: Its variables; arrays or shapes.
        *inputs: Arrays or shapes of the inputs.
        **apply_options: Passed to ``model.apply``.

    Returns:
        Layer name -> shape and dtype.

    Example:
        >>> import flax.linen as nn, jax, jax.numpy as jnp
        >>> model = nn.Sequential([nn.Dense(4), nn.relu, nn.Dense(2)])
        >>> variables = model.init(jax.random.key(0), jnp.ones(3))
        >>> {name: leaf.shape for name, leaf in layer_shapes(model, variables, jnp.ones(3)).items()}
        {'layers_0': (4,), 'layers_2': (2,)}
    """
    calls: list[tuple[str, jax.ShapeDtypeStruct]] = []

    def intercept(
        call: Callable[..., Any], arguments: Any, options: Any, context: nn.module.InterceptorContext
    ) -> Any:
        value = call(*arguments, **options)
        path = "/".join(context.module.path)
        if context.method_name == "__call__" and path and isinstance(value, jax.Array):
            calls.append((path, jax.ShapeDtypeStruct(value.shape, value.dtype)))
        return value

    def run(variables: Mapping[str, Any], *inputs: Any) -> Any:
        with nn.intercept_methods(intercept):
            return model.apply(variables, *inputs, **apply_options)

    jax.eval_shape(run, {**variables, _ASKED: _told_apart(variables)}, *inputs)
    paths = [path for path, _ in calls]
    seen: dict[str, int] = {}
    shapes = {}
    for path, shape in calls:
        occurrence = seen.get(path, 0)
        seen[path] = occurrence + 1
        shapes[path if paths.count(path) == 1 else f"{path}:{occurrence}"] = shape
    return shapes


def _tap(call: Callable[..., Any], arguments: Any, options: Any, context: nn.module.InterceptorContext) -> Any:
    """Adds the tap to one call's value and records the sum, if the module was asked for."""
    value = call(*arguments, **options)
    module = context.module
    if context.method_name != "__call__" or not module.path:
        return value
    occurrence = len(module.get_variable(_TAPPED, _VALUE, ()))  # how often it was called, kept in its scope
    every, this = module.has_variable(_ASKED, _VALUE), module.has_variable(_ASKED, f"{_VALUE}:{occurrence}")
    if not every and not this and not module.has_variable(_ASKED, _ANY):
        return value
    path = "/".join(module.path)
    if not isinstance(value, jax.Array):
        raise LayerError(f"Expected layer {path!r} to return one array, got {type(value).__name__} instead.")
    if occurrence and every:
        raise LayerError(
            f"Layer {path!r} is called more than once. Name the call you mean, counted from 0: "
            f"'{path}:0', '{path}:1', ..."
        )
    for key in (_VALUE, f"{_VALUE}:{occurrence}"):
        if module.has_variable(_GIVEN, key):
            value = module.get_variable(_GIVEN, key)
        if module.has_variable(_TAPS, key):
            value = value + module.get_variable(_TAPS, key)
    module.sow(_TAPPED, _VALUE, value)
    return value


def _told_apart(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Gives every module with variables a marker of its own shape, so that ``nn.jit`` traces each."""
    paths = {path[:-1] for collection in variables.values() for path in flatten_dict(collection) if len(path) > 1}
    markers = {"/".join(path): jax.ShapeDtypeStruct((i,), jnp.float32) for i, path in enumerate(sorted(paths))}
    return _nested(markers)


def _key(name: str, found: Mapping[str, Any]) -> str:
    return name if name in found or ":" in name else f"{name}:0"


def _nested(taps: Mapping[str, Any]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for name, tap in taps.items():
        path, colon, occurrence = name.partition(":")
        node = root
        for part in path.split("/"):
            node = node.setdefault(part, {})
        node[_VALUE + colon + occurrence] = tap
        if colon:
            node[_ANY] = jnp.zeros(())
    return root


def _flat(recorded: Mapping[str, Any]) -> dict[str, jax.Array]:
    flat = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(recorded)[0]:
        *modules, _, call = path
        flat["/".join(key.key for key in modules) + f":{call.idx}"] = leaf
    return flat

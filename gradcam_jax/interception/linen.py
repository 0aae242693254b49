"""Taps any layer of an unmodified Flax Linen model.

A layer's name is its module path, ``"features/conv1"``; the activation is what the module's ``__call__``
returns. A method interceptor adds the tap and records the sum, both through the module's own variable
collections, so that it works under ``jit``, ``vmap``, ``nn.remat`` and ``nn.jit`` and no tracer leaks. Which
modules are tapped is read from a collection too: ``nn.jit`` traces modules of one class and shape once, and
tells them apart by their variables alone.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from gradcam_jax.attribution.gradients import Activations
from gradcam_jax.errors import InputError, LayerError
from gradcam_jax.interception.names import as_names, require_layers
from gradcam_jax.interception.tapped import Call, ReluRule, Tapped, on_device

PREPARED = "prepared"
"""Collection of values that layers compute from their parameters beforehand: never trained, never stored."""

_ASKED = "gradcam_asked"
_TAPS = "gradcam_taps"
_TAPPED = "gradcam_tapped"
_REPLACED = "gradcam_replaced"
_VALUE = "<value>"  # no submodule can carry this name
_ANY = "<any>"  # some call of this module was asked for, so all of them are counted


def tapped(
    model: nn.Module,
    variables: Mapping[str, Any],
    layers: str | Sequence[str] = (),
    *,
    batch_axis: bool = True,
    rngs: Any = None,
    **apply_options: Any,
) -> Tapped:
    """Returns a Linen model as a pure function of one example, tapped at the named layers.

    Args:
        model: A Linen module; it is not changed.
        variables: Its variables, ``{"params": ..., ...}``.
        layers: Module paths as :func:`gradcam_jax.layer_shapes` lists them, for example ``"relu5_3"``. A module
            that is called several times is named with the occurrence, counted from 0: ``"relu:1"``.
        batch_axis: Whether the model takes and returns batches, as nearly all do: it is then given one example
            with a leading axis of length 1. False for a model of one example.
        rngs: PRNG keys for ``model.apply``.
        **apply_options: Passed to ``model.apply``, for example ``train=False`` or ``method="features"``.

    Returns:
        A :class:`gradcam_jax.Tapped`: ``forward(taps, *inputs) -> (outputs, activations)``, without batch axes.

    Raises:
        LayerError: When the forward is traced, as :meth:`gradcam_jax.Tapped.__call__` says.

    Example:
        >>> import flax.linen as nn, jax, jax.numpy as jnp
        >>> model = nn.Sequential([nn.Dense(4), nn.relu, nn.Dense(2)])
        >>> variables = model.init(jax.random.key(0), jnp.ones((1, 3)))
        >>> forward = tapped(model, variables, "layers_0")
        >>> outputs, activations = forward({}, jnp.ones(3))
        >>> outputs.shape, activations["layers_0"].shape
        ((2,), (4,))
    """
    leaves = {"variables": on_device(dict(variables)), "rngs": rngs}
    program = LinenProgram(model, tuple(sorted(apply_options.items())), batch_axis)
    return Tapped(leaves, program, as_names(layers))


@dataclasses.dataclass(frozen=True, eq=False)
class LinenProgram:
    """A Linen model, as a :class:`gradcam_jax.interception.tapped.Program`.

    Attributes:
        model: The module.
        options: What ``model.apply`` is given besides variables and inputs.
        batch_axis: Whether the model takes and returns batches.
    """

    model: nn.Module
    options: tuple[tuple[str, Any], ...]
    batch_axis: bool

    def __eq__(self, other: object) -> bool:
        """Compares models by their fields, or where these cannot be hashed by identity."""
        if not isinstance(other, LinenProgram) or self._key()[1:] != other._key()[1:]:
            return False
        return self.model is other.model or (_is_hashable(self.model) and self.model == other.model)

    def __hash__(self) -> int:
        """Hashes what ``__eq__`` compares."""
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return (hash(self.model) if _is_hashable(self.model) else id(self.model), self.options, self.batch_axis)

    def run(self, variables: Any, call: Call) -> tuple[Any, Activations]:
        """Runs the model on one example."""
        collections = {
            **variables["variables"],
            _ASKED: _nested({name: jnp.zeros(()) for name in call.layers}),
            _TAPS: _nested(self._as_batch({name: call.taps[name] for name in call.layers if name in call.taps})),
            _REPLACED: _nested(self._as_batch(dict(call.replaced))),
        }
        with nn.intercept_methods(_tap):
            outputs, recorded = cast(
                tuple[Any, Mapping[str, Any]],
                self.model.apply(
                    collections,
                    *self._as_batch(call.inputs),
                    mutable=[_TAPPED],
                    rngs=variables["rngs"],
                    **dict(self.options),
                ),
            )
        values = _flat(recorded.get(_TAPPED, {}))
        if any(_key(name, values) not in values for name in call.layers):
            require_layers(call.layers, list(self.layer_shapes(variables, *call.inputs)))
        return self._as_example(outputs), self._as_example(
            {name: values[_key(name, values)] for name in call.layers}
        )

    def layer_shapes(self, variables: Any, *inputs: Any) -> dict[str, jax.ShapeDtypeStruct]:
        """Lists every layer that can be tapped, in the order of its call, for one example."""
        calls: list[tuple[str, jax.ShapeDtypeStruct]] = []
        roots: list[int] = []  # ids alone: scopes hold tracers

        def intercept(
            call: Callable[..., Any], arguments: Any, options: Any, context: nn.module.InterceptorContext
        ) -> Any:
            scope = context.module.scope
            root = scope.root if scope is not None else None
            roots.append(id(root))
            # A method may run a copy of the model, whose calls are not the model's. Modules under nn.remat and
            # nn.jit have roots of their own too, with the path to where they are.
            own = roots[-1] == roots[0] or (root is not None and bool(root.path))
            value = call(*arguments, **options)
            path = "/".join(context.module.path)
            if own and context.method_name == "__call__" and path and isinstance(value, jax.Array):
                shape = value.shape[1:] if self.batch_axis else value.shape
                calls.append((path, jax.ShapeDtypeStruct(shape, value.dtype)))
            return value

        def run(variables: Any, markers: Any, *inputs: Any) -> Any:
            collections = {**variables["variables"], _ASKED: markers}
            with nn.intercept_methods(intercept):
                return self.model.apply(
                    collections, *self._as_batch(inputs), rngs=variables["rngs"], **dict(self.options)
                )

        jax.eval_shape(run, variables, _marker_of_each_module(variables["variables"]), *inputs)
        paths = [path for path, _ in calls]
        seen: dict[str, int] = {}
        shapes = {}
        for path, shape in calls:
            occurrence = seen.get(path, 0)
            seen[path] = occurrence + 1
            shapes[path if paths.count(path) == 1 else f"{path}:{occurrence}"] = shape
        return shapes

    def with_relu_rule(self, rule: ReluRule) -> "LinenProgram":
        """Returns the program of a copy whose fields named ``relu``, inner modules' too, carry the rule."""
        model = _with_relu_rule(self.model, rule)
        if model is self.model:
            raise InputError(
                f"{type(self.model).__name__} has no field 'relu', so its rectifiers cannot be replaced. Give it "
                "one (relu: Callable = nn.relu) and call it for every rectifier, as the models here do."
            )
        return dataclasses.replace(self, model=model)

    def prepared(self, variables: Any, *inputs: Any) -> Any:
        """Adds to the variables what the model's layers otherwise compute from them in every call on a CPU."""
        own = {name: leaf for name, leaf in variables["variables"].items() if name != PREPARED}

        def prepare(own: Any, rngs: Any) -> Any:
            # The compiler drops the forward pass, whose result is not asked for.
            blank = self._as_batch(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), inputs))
            _, prepared = cast(
                tuple[Any, Mapping[str, Any]],
                self.model.apply(own, *blank, mutable=[PREPARED], rngs=rngs, **dict(self.options)),
            )
            return prepared.get(PREPARED, {})

        return {**variables, "variables": {**own, PREPARED: jax.jit(prepare)(own, variables["rngs"])}}

    def cast(self, variables: Any, layers: set[str], dtype: Any) -> Any:
        """Returns the variables with the parameters of some modules in another type."""

        def convert(path: tuple[Any, ...], leaf: Any) -> Any:
            collection, *module, _ = (key.key for key in path)
            return leaf.astype(dtype) if collection == "params" and "/".join(module) in layers else leaf

        own = {name: leaf for name, leaf in variables["variables"].items() if name != PREPARED}
        return {**variables, "variables": jax.tree_util.tree_map_with_path(convert, own)}

    def _as_batch(self, tree: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.asarray(leaf)[jnp.newaxis], tree) if self.batch_axis else tree

    def _as_example(self, tree: Any) -> Any:
        def take_axis_off(leaf: jax.Array) -> jax.Array:
            if leaf.shape[:1] != (1,):
                raise InputError(
                    f"Expected {type(self.model).__name__} to keep the batch axis of length 1 that it is given, "
                    f"got shape {leaf.shape} instead. If it takes one example: tapped(..., batch_axis=False)."
                )
            return leaf[0]

        return jax.tree.map(take_axis_off, tree) if self.batch_axis else tree


def _with_relu_rule(model: nn.Module, rule: ReluRule) -> nn.Module:
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(model):
        value = getattr(model, field.name, None)
        if field.name == "relu" and callable(value):
            changed[field.name] = rule(cast(Any, value))
        elif isinstance(value, nn.Module) and field.name != "parent":
            inner = _with_relu_rule(value, rule)
            changed |= {} if inner is value else {field.name: inner}
    return model.clone(**changed) if changed else model


def _is_hashable(model: nn.Module) -> bool:
    try:
        hash(model)
    except TypeError:
        return False
    return True


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
        if module.has_variable(_REPLACED, key):
            value = module.get_variable(_REPLACED, key)
        if module.has_variable(_TAPS, key):
            value = value + module.get_variable(_TAPS, key)
    module.sow(_TAPPED, _VALUE, value)
    return value


def _marker_of_each_module(variables: Mapping[str, Any]) -> dict[str, Any]:
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

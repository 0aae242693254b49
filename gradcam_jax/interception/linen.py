"""Taps any layer of an unmodified Flax Linen model.

A layer's name is its module path, ``"features/conv1"``; the activation is what the module's ``__call__``
returns. A method interceptor marks it in the traced program. ``nn.jit`` traces modules of one class and shape
once, and tells them apart by their variables alone: each module is given a marker of its own among them.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from gradcam_jax.interception.examples import as_batch, as_example
from gradcam_jax.interception.marks import marked
from gradcam_jax.interception.names import as_names
from gradcam_jax.interception.tapped import Tapped, on_device

PREPARED = "prepared"
"""Collection of values that layers compute from their parameters beforehand: never trained, never stored."""

_MARKERS = "gradcam_markers"
_MARKER = "<marker>"  # no submodule can carry this name


def tapped(
    model: nn.Module,
    variables: Mapping[str, Any],
    layers: str | Sequence[str] = (),
    *,
    batch_axis: bool = True,
    rngs: Any = None,
    **apply_options: Any,
) -> Tapped:
    """Returns a Linen model as a tapped model, as :func:`gradcam_jax.tapped` says."""
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

    def call(self, variables: Any, *inputs: Any) -> Any:
        """Runs the model on one example, and marks what each module returns."""
        roots: list[int] = []  # ids alone: scopes hold tracers
        running = [True]

        def mark(
            call: Callable[..., Any], arguments: Any, options: Any, context: nn.module.InterceptorContext
        ) -> Any:
            if not running:
                return call(*arguments, **options)
            scope = context.module.scope
            root = scope.root if scope is not None else None
            roots.append(id(root))
            # A method may run a copy of the model, whose calls are not the model's. Modules under nn.remat and
            # nn.jit have roots of their own too, with the path to where they are.
            own = roots[-1] == roots[0] or (root is not None and bool(root.path))
            value = call(*arguments, **options)
            path = "/".join(context.module.path)
            is_layer = own and context.method_name == "__call__" and path
            return marked(value, path, batched=self.batch_axis) if is_layer else value

        collections = {**variables["variables"], _MARKERS: _marker_of_each_module(variables["variables"])}
        try:
            with nn.intercept_methods(mark):
                outputs = self.model.apply(
                    collections, *as_batch(inputs, self.batch_axis), rngs=variables["rngs"], **dict(self.options)
                )
        finally:
            # Under `python -O` Flax keeps an interceptor for ever: it takes it away inside an assert.
            running.clear()
        return as_example(outputs, self.batch_axis, type(self.model).__name__)

    def prepared(self, variables: Any, *inputs: Any) -> Any:
        """Adds to the variables what the model's layers otherwise compute from them in every call on a CPU."""
        own = {name: leaf for name, leaf in variables["variables"].items() if name != PREPARED}

        def prepare(own: Any, rngs: Any) -> Any:
            # The compiler drops the forward pass, whose result is not asked for.
            zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), inputs)
            blank = as_batch(zeros, self.batch_axis)
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


def _is_hashable(model: nn.Module) -> bool:
    try:
        hash(model)
    except TypeError:
        return False
    return True


def _marker_of_each_module(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Gives every module with variables a marker of its own shape, so that ``nn.jit`` traces each."""
    paths = {path[:-1] for collection in variables.values() for path in flatten_dict(collection) if len(path) > 1}
    root: dict[str, Any] = {}
    for length, path in enumerate(sorted(paths)):
        node = root
        for part in path:
            node = node.setdefault(part, {})
        node[_MARKER] = np.zeros(length, bool)
    return root

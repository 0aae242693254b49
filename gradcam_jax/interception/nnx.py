"""Taps any layer of an unmodified Flax NNX model.

A layer's name is the dotted path to the module, ``"blocks.0.conv"``; the activation is what the module's
``__call__`` returns. Each call of the forward makes a copy of the model, whose modules carry their names and mark
what they return; the caller's model, its variables and its random streams are never changed.
"""

import functools
import types
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from flax import nnx

from gradcam_jax.interception.examples import as_batch, as_example
from gradcam_jax.interception.marks import marked
from gradcam_jax.interception.names import as_names
from gradcam_jax.interception.tapped import Tapped, on_device

_NAME = "gradcam_jax_name"


def tapped(
    model: nnx.Module,
    layers: str | Sequence[str] = (),
    *,
    batch_axis: bool = True,
    rngs: nnx.Rngs | None = None,
    **call_options: Any,
) -> Tapped:
    """Returns an NNX model as a tapped model, as :func:`gradcam_jax.tapped` says."""
    method = call_options.pop("method", "__call__")
    graph, parameters, others = nnx.split(model, nnx.Param, ...)
    rngs_graph, rngs_state = nnx.split(rngs)
    # Mapped, the states are copies: those of a split share the model's variables.
    variables = on_device({"params": parameters, "others": others, "rngs": rngs_state})
    options = tuple(sorted(call_options.items()))
    return Tapped(variables, NNXProgram((graph, rngs_graph), method, options, batch_axis), as_names(layers))


class NNXProgram(NamedTuple):
    """An NNX model, as a :class:`gradcam_jax.interception.tapped.Program`.

    Attributes:
        graphs: What is static of the model, and of the random streams that it is called with.
        method: The method that is called, by its name, or a function of the model and the inputs.
        options: What it is given besides the inputs.
        batch_axis: Whether the model takes and returns batches.
    """

    graphs: tuple[Any, Any]
    method: str | Callable[..., Any]
    options: tuple[tuple[str, Any], ...]
    batch_axis: bool

    def call(self, variables: Any, *inputs: Any) -> Any:
        """Runs a copy of the model on one example, and marks what each module returns."""
        model = nnx.merge(self.graphs[0], variables["params"], variables["others"])
        rngs = nnx.merge(self.graphs[1], variables["rngs"])
        name = type(model).__name__
        for path, module in nnx.iter_modules(model):
            if path and callable(module):
                setattr(module, _NAME, ".".join(map(str, path)))
                module.__class__ = _marking(type(module), self.batch_axis)
        options = dict(self.options) | ({} if rngs is None else {"rngs": rngs})
        call = (
            getattr(model, self.method) if isinstance(self.method, str) else functools.partial(self.method, model)
        )
        outputs = call(*as_batch(inputs, self.batch_axis), **options)
        return as_example(outputs, self.batch_axis, name)

    def prepared(self, variables: Any, *inputs: Any) -> Any:
        """Returns the variables as they are."""
        del inputs
        return variables

    def cast(self, variables: Any, layers: set[str], dtype: Any) -> Any:
        """Returns the variables with the parameters of some modules in another type."""

        def convert(path: tuple[Any, ...], leaf: Any) -> Any:
            keys = [str(key.key) for key in path if isinstance(key, jax.tree_util.DictKey)]
            return leaf.astype(dtype) if ".".join(keys[:-1]) in layers else leaf

        return {**variables, "params": jax.tree_util.tree_map_with_path(convert, variables["params"])}


@functools.cache
def _marking(module: type[nnx.Module], batched: bool) -> type[nnx.Module]:
    """Returns a class of modules that mark what they return with their name, also inside NNX's transformations."""

    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        value = module.__call__(self, *arguments, **options)
        return marked(value, getattr(self, _NAME), batched=batched)

    members = {"__call__": call, "__module__": module.__module__, "__qualname__": module.__qualname__}
    return types.new_class(module.__name__, (module,), exec_body=lambda namespace: namespace.update(members))

"""A model of one's own: the function that returns it and its checkpoint become an entry, made on the spot."""

import inspect
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp

from gradcam_jax.attribution.layouts import Layout, channels_last, token_grid
from gradcam_jax.conversion.flax_trees import Fitted, fit_tree, read_flax_arrays
from gradcam_jax.conversion.rules import convert, unchanged, variable_shapes
from gradcam_jax.engine.suggestion import suggest_layer
from gradcam_jax.errors import CheckpointError, InputError
from gradcam_jax.images.preprocessing import ZERO_TO_ONE, Preprocessing
from gradcam_jax.interception.linen import PREPARED
from gradcam_jax.interception.tapped import Tapped, layer_shapes
from gradcam_jax.text.labels import Names, names_of_classes
from gradcam_jax.text.vocabulary import Vocabulary
from gradcam_jax.zoo.checkpoint import card_of
from gradcam_jax.zoo.entries import Entry
from gradcam_jax.zoo.layers import find_layer
from gradcam_jax.zoo.loaded import Loaded, distinct
from gradcam_jax.zoo.naming import named_preprocessing

Checkpoint = str | os.PathLike[str]

# How a module is told that nothing is being trained: its call's parameters of these names.
_EVALUATION = {
    **dict.fromkeys(("train", "training", "is_training", "is_train"), False),
    **dict.fromkeys(("deterministic", "use_running_average", "inference"), True),
}
_CLASS_TOKENS = (0, 1, 2, 5)  # Swin's, ViT's, DeiT's, DINOv2's with registers
_NOT_STORED = ("intermediates", "perturbations", PREPARED)
_NNX = "model"  # stands for an NNX module's variables, which have no collections, where these have names


def own_model(
    function: Callable[..., Any],
    *,
    name: str = "",
    checkpoint: Checkpoint = "",
    recipe: str | Preprocessing = "",
    labels: Names = "",
    layer: str = "",
    size: int = 0,
) -> Loaded:
    """Returns a classifier of one's own as the zoo's are.

    Args:
        function: A model, or a function that returns one: a Linen module, an NNX module, ``(module, variables)``
            or a :class:`gradcam_jax.Tapped`. It is called without arguments, or if it has a parameter
            ``checkpoint`` with that, which it then reads itself; an NNX class is given ``rngs``.
        name: What the model is called. Empty: the function's own name.
        checkpoint: An Orbax folder, or a file: safetensors, msgpack or npz, whose names are the variables' paths.
        recipe: A preprocessing, or its name. Empty: RGB in [0, 1], the whole photo stretched to a square.
        labels: The classes' names by index, or a file of them. Empty: the checkpoint's card's, else numbers.
        layer: The layer to map. Empty: :func:`gradcam_jax.suggest_layer`'s.
        size: Side of the image, in pixels. 0: the preprocessing's.

    Raises:
        InputError: If the function returns something else, weights are missing, its outputs are no scores of
            classes, or the number of labels is another than theirs.
        CheckpointError: If the checkpoint cannot be read, or does not fit the model.
    """
    name = name or _name_of(function)
    preprocessing, notes = _preprocessing(recipe)
    size = size or preprocessing.size
    image = jax.ShapeDtypeStruct((size, size, 3), jnp.float32)
    made, reads_itself = _called(function, name, checkpoint)
    own_checkpoint = "" if reads_itself else checkpoint
    model, variables, options, more = _with_weights(made, name, own_checkpoint, image)
    entry = Entry(name, "classification", function, layer, preprocessing, size, licence="the caller's own")
    source = os.fspath(checkpoint) or name
    blank = Vocabulary(())
    loaded = Loaded(entry, model, variables, blank, blank, None, {}, options, source, (*notes, *more))
    count = _count_classes(loaded, image)
    card = card_of(own_checkpoint) if own_checkpoint else None
    if not labels and (card is None or not card.labels):
        notes = (f"its {count} classes have no names, so they are numbered from 1",)
        loaded = loaded._replace(notes=(*loaded.notes, *notes))
    texts = names_of_classes(labels or (card.labels if card is not None else ()), count, name)
    loaded = loaded._replace(labels=Vocabulary(distinct(texts)), card=card)
    suggestion = suggest_layer(loaded.tapped(), image) if not layer else None
    if suggestion is not None:
        layer = suggestion.layer
        loaded = loaded._replace(notes=(*loaded.notes, f"layer {layer}: {suggestion.reason}"))
    shapes = layer_shapes(loaded.tapped(), image)
    layout, arranged = _layout(shapes[layer].shape if layer in shapes else ())  # else a number, or a mistake
    loaded = loaded._replace(entry=entry._replace(layout=layout), notes=(*loaded.notes, *arranged))
    if suggestion is None:
        layer = find_layer(loaded, layer, size)
    return loaded._replace(entry=loaded.entry._replace(layer=layer))


def _name_of(function: Callable[..., Any]) -> str:
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"


def _layout(shape: tuple[int, ...]) -> tuple[Layout, tuple[str, ...]]:
    """Returns how a layer of this shape is arranged, and of tokens a note on which of them are positions."""
    if len(shape) != 2:
        return channels_last, ()
    for class_tokens in _CLASS_TOKENS:
        side = math.isqrt(max(shape[0] - class_tokens, 0))
        if side > 1 and side**2 + class_tokens == shape[0]:
            note = f"its {shape[0]} tokens are taken for {side}x{side} positions after {class_tokens} class tokens"
            return token_grid(class_tokens), (note,)
    return channels_last, ()


def _preprocessing(recipe: str | Preprocessing) -> tuple[Preprocessing, tuple[str, ...]]:
    if isinstance(recipe, Preprocessing):
        return recipe, ()
    if recipe:
        return named_preprocessing(recipe), ()
    return ZERO_TO_ONE, (f"recipe {ZERO_TO_ONE.name}, since none is named: RGB in [0, 1], the whole photo",)


def _called(function: Callable[..., Any], name: str, checkpoint: Checkpoint) -> tuple[Any, bool]:
    """Returns what a model function returns, and whether it has read the checkpoint itself."""
    if not callable(function):
        raise InputError(
            f"Expected {name!r} to be a function that returns a model, got {type(function).__name__}."
        )
    if _is_model(function):
        return function, False
    # A class's own metaclass may hide what its instances are made from, as NNX's does.
    called = function.__init__ if inspect.isclass(function) else function
    parameters = dict(inspect.signature(called).parameters)
    if inspect.isclass(function):
        parameters.pop("self", None)
    arguments: dict[str, Any] = {}
    if "checkpoint" in parameters:
        if not checkpoint and parameters["checkpoint"].default is inspect.Parameter.empty:
            raise InputError(f"{name!r} takes a checkpoint, and none is named: --checkpoint FOLDER_OR_FILE.")
        if checkpoint:
            arguments["checkpoint"] = os.fspath(checkpoint)
    if "rngs" in parameters and parameters["rngs"].default is inspect.Parameter.empty:
        from flax import nnx

        arguments["rngs"] = nnx.Rngs(0)
    missing = [
        parameter.name
        for parameter in parameters.values()
        if parameter.default is inspect.Parameter.empty
        and parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        and parameter.name not in arguments
    ]
    if missing:
        raise InputError(
            f"{name!r} needs {', '.join(missing)}, which are not known here. Name a function without arguments "
            "that calls it with them."
        )
    return function(**arguments), "checkpoint" in arguments


def _is_model(value: Any) -> bool:
    """Tells whether a value is a model itself, which can be called too."""
    from flax import nnx

    return isinstance(value, nn.Module | Tapped | nnx.Module)


def _with_weights(
    made: Any, name: str, checkpoint: Checkpoint, image: jax.ShapeDtypeStruct
) -> tuple[Any, dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """Returns the model, its variables, what it is called with, and what was done."""
    if isinstance(made, Tapped):
        if checkpoint:
            raise InputError(
                f"{name!r} returns a tapped model, which has its weights already. Leave the checkpoint out, or "
                "let the function read it: give it a parameter called checkpoint."
            )
        return made, {}, {}, ()
    model, variables = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    options = evaluation_options(model)
    if isinstance(model, nn.Module):
        if checkpoint:
            variables, notes = _linen_variables(model, checkpoint, image, options)
            return model, variables, options, notes
        if variables is None:
            raise InputError(f"{name!r} returns a Linen module, which needs weights: --checkpoint FOLDER_OR_FILE.")
        return model, dict(variables), options, ()
    from flax import nnx

    if not isinstance(model, nnx.Module):
        raise InputError(
            f"Expected {name!r} to return a Flax module (Linen or NNX), (module, variables), or "
            f"gradcam_jax.tapped or tapped_functions of a model, got {type(made).__name__}."
        )
    model = nnx.clone(model)
    model.eval()
    if not checkpoint:
        return model, {}, options, ("its weights are those that the function returned",)
    return model, {}, options, _fill_nnx(model, checkpoint)


def evaluation_options(model: Any) -> dict[str, Any]:
    """Returns what a module's call takes to say that nothing is being trained, by its parameters' names.

    Example:
        >>> class Net(nn.Module):
        ...     @nn.compact
        ...     def __call__(self, x, train):
        ...         return nn.Dropout(0.5, deterministic=not train)(x)
        >>> evaluation_options(Net())
        {'train': False}
    """
    parameters = inspect.signature(type(model).__call__).parameters
    return {name: value for name, value in _EVALUATION.items() if name in parameters}


def _linen_variables(
    model: nn.Module, checkpoint: Checkpoint, image: jax.ShapeDtypeStruct, options: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    batch = jax.ShapeDtypeStruct((1, *image.shape), image.dtype)
    shapes = variable_shapes(model, batch, **options)
    expected = {name: leaves for name, leaves in shapes.items() if name not in _NOT_STORED}
    fitted = _fitted(checkpoint, flax.traverse_util.flatten_dict(expected, sep="/"))
    return _converted(checkpoint, fitted, expected), fitted.notes


def _fill_nnx(model: Any, checkpoint: Checkpoint) -> tuple[str, ...]:
    """Puts a checkpoint's arrays into an NNX module, all but its random streams'."""
    from flax import nnx

    state = nnx.state(model, nnx.Not(nnx.RngState))
    flat: dict[tuple[Any, ...], Any] = dict(flax.traverse_util.flatten_dict(nnx.to_pure_dict(state)))
    paths = {"/".join((_NNX, *map(str, path))): path for path in flat}
    expected = {name: flat[path] for name, path in paths.items()}
    fitted = _fitted(checkpoint, expected)
    converted = flax.traverse_util.flatten_dict(
        _converted(checkpoint, fitted, flax.traverse_util.unflatten_dict(expected, sep="/")), sep="/"
    )
    filled = {path: jnp.asarray(converted[name], flat[path].dtype) for name, path in paths.items()}
    nnx.replace_by_pure_dict(state, flax.traverse_util.unflatten_dict(filled))
    nnx.update(model, state)
    return fitted.notes


def _fitted(checkpoint: Checkpoint, expected: Mapping[str, Any]) -> Fitted:
    arrays = read_flax_arrays(checkpoint)
    try:
        fitted = fit_tree(arrays, list(expected))
    except CheckpointError as error:
        raise CheckpointError(f"{os.fspath(checkpoint)}: {error}") from error
    if fitted is None:
        raise CheckpointError(
            f"{os.fspath(checkpoint)}: has none of the model's arrays, such as {', '.join(list(expected)[:2])}; "
            f"it has {', '.join(list(arrays)[:4]) or 'none'}."
        )
    return fitted


def _converted(checkpoint: Checkpoint, fitted: Fitted, expected: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return convert(fitted.arrays, unchanged(expected), expected)
    except CheckpointError as error:
        raise CheckpointError(f"{os.fspath(checkpoint)}: {error}") from error


def _count_classes(loaded: Loaded, image: jax.ShapeDtypeStruct) -> int:
    """Returns how many scores a model gives one image; an error where it gives something else."""
    outputs = jax.eval_shape(lambda forward, image: forward({}, image)[0], loaded.tapped(), image)
    leaves = jax.tree.leaves(outputs)
    is_scores = isinstance(outputs, jax.ShapeDtypeStruct) and len(outputs.shape) == 1
    if not is_scores or not jnp.issubdtype(leaves[0].dtype, jnp.floating):
        got = ", ".join(f"{'x'.join(map(str, leaf.shape)) or 'a number'} {leaf.dtype}" for leaf in leaves)
        raise InputError(
            f"Expected {loaded.name!r} to return a score for each class, an array (classes,) for one image, got "
            f"{got or 'nothing'}. Let the function return a module, or gradcam_jax.tapped_functions, that picks "
            "it."
        )
    return leaves[0].shape[0]

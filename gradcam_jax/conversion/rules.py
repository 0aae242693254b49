"""Renames and reshapes another program's arrays into a model's variables, and checks every one, both ways.

A conversion is a readable table of rules, one a source array: what it was called, where it goes, and how its
axes change. Missing, unexpected and mis-shaped arrays are reported together, not one a try.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import flax.traverse_util
import jax
import numpy as np

from gradcam_jax.errors import CheckpointError

Transform = Callable[[np.ndarray], np.ndarray]


class Rule(NamedTuple):
    """One array's way: ``source`` key, ``target`` path such as ``"params/conv1_1/kernel"``, and its change."""

    source: str
    target: str
    transform: Transform


def as_is(array: np.ndarray) -> np.ndarray:
    """Leaves an array as it is."""
    return array


def convolution(array: np.ndarray) -> np.ndarray:
    """Turns a kernel (out, in, h, w) of Caffe and Torch into Flax's (h, w, in, out)."""
    return array.transpose(2, 3, 1, 0)


def dense(array: np.ndarray) -> np.ndarray:
    """Turns a matrix (out, in) of Caffe and Torch into Flax's (in, out); leading axes of length 1 are dropped."""
    return array.reshape(array.shape[-2:]).T


def dense_after_flatten(channels: int, height: int, width: int) -> Transform:
    """Turns the matrix after a flatten of C,H,W (Caffe, Torch) into one after a flatten of H,W,C (here)."""

    def transform(array: np.ndarray) -> np.ndarray:
        outputs = array.shape[-2]
        source = array.reshape(outputs, channels, height, width).transpose(2, 3, 1, 0)
        kernel = np.empty(source.shape, array.dtype)
        for block in _cache_sized(channels, outputs):
            kernel[:, :, *block] = source[:, :, *block]
        return kernel.reshape(height * width * channels, outputs)

    return transform


def _cache_sized(channels: int, outputs: int) -> Iterator[tuple[slice, slice]]:
    """Cuts two axes into blocks that fit a cache: transposed in one go, VGG's fc6 takes ten times as long."""
    for channel in range(0, channels, 4):
        for output in range(0, outputs, 64):
            yield slice(channel, channel + 4), slice(output, output + 64)


def weight_and_bias(source: str, target: str, transform: Transform) -> list[Rule]:
    """Returns the two rules of a layer: ``SOURCEweight`` becomes its ``kernel``, ``SOURCEbias`` its ``bias``.

    Example:
        >>> [rule.target for rule in weight_and_bias("classifier.6.", "fc8", dense)]
        ['params/fc8/kernel', 'params/fc8/bias']
    """
    return [
        Rule(f"{source}weight", f"params/{target}/kernel", transform),
        Rule(f"{source}bias", f"params/{target}/bias", as_is),
    ]


def inside(module: str, rules: Sequence[Rule]) -> list[Rule]:
    """Returns the rules of a model that is a part, named ``module``, of a larger one."""
    return [rule._replace(target=rule.target.replace("/", f"/{module}/", 1)) for rule in rules]


def unchanged(expected: Mapping[str, Any]) -> list[Rule]:
    """Returns the table of this project's own checkpoints, whose keys are the variables' paths."""
    paths = flax.traverse_util.flatten_dict(dict(expected), sep="/")
    return [Rule(path, path, as_is) for path in paths]


def variable_shapes(model: Any, *inputs: Any) -> dict[str, Any]:
    """Returns the model's variables as shapes, computing nothing.

    Args:
        model: A Linen module.
        *inputs: Shapes (``jax.ShapeDtypeStruct``) or arrays of its inputs.
    """
    return jax.eval_shape(model.init, jax.random.key(0), *inputs)


def convert(
    arrays: Mapping[str, np.ndarray],
    rules: Sequence[Rule],
    expected: Mapping[str, Any],
    *,
    ignore: Callable[[str], bool] = lambda _: False,
) -> dict[str, Any]:
    """Applies the rules to every array and returns the model's variables.

    Args:
        arrays: Source key -> array.
        rules: The model's table.
        expected: The variables' shapes, as :func:`variable_shapes` gives them.
        ignore: Tells which source keys are known and not needed (counters, unused projections).

    Returns:
        Variables, ``{"params": {...}, ...}``, of float32 numpy arrays.

    Raises:
        CheckpointError: If an array is missing, unexpected or of another shape; all are listed.
    """
    shapes: dict[str, Any] = dict(flax.traverse_util.flatten_dict(dict(expected), sep="/"))
    sources, targets = {rule.source for rule in rules}, {rule.target for rule in rules}
    problems = [f"missing: {rule.source} (for {rule.target})" for rule in rules if rule.source not in arrays]
    problems += [f"unexpected: {key}" for key in arrays if key not in sources and not ignore(key)]
    problems += [f"no rule gives {target}" for target in shapes if target not in targets]
    converted = {}
    for rule in rules:
        if rule.source not in arrays:
            continue
        source, wanted = arrays[rule.source], shapes[rule.target].shape
        array = _transformed(rule, source, wanted)
        if array is None:
            problems.append(f"mis-shaped: {rule.source} is {source.shape}, for {rule.target} {wanted}")
        else:
            converted[rule.target] = array.astype(np.float32, copy=False)
    if problems:
        shown = "\n  ".join(problems[:20] + ([f"... {len(problems) - 20} more"] if len(problems) > 20 else []))
        raise CheckpointError(f"The arrays do not fit the model in {len(problems)} places:\n  {shown}")
    return flax.traverse_util.unflatten_dict(converted, sep="/")


def _transformed(rule: Rule, source: np.ndarray, wanted: tuple[int, ...]) -> np.ndarray | None:
    """Returns the array in its new shape, or None where it cannot have the shape wanted."""
    if source.size != math.prod(wanted):
        return None
    try:
        array = rule.transform(source)
    except (ValueError, IndexError):  # As many numbers, but on other axes than the transform expects.
        return None
    return array if array.shape == wanted else None

"""Renames and reshapes another program's arrays into a model's variables, and checks every one, both ways.

A conversion is a readable table of rules, one a source array: what it was called, where it goes, and how its
axes change. Missing, unexpected and mis-shaped arrays are reported together, not one a try.
"""

from collections.abc import Callable, Mapping, Sequence
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
        kernel = array.reshape(outputs, channels, height, width).transpose(2, 3, 1, 0)
        return kernel.reshape(height * width * channels, outputs)

    return transform


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
    by_source = {rule.source: rule for rule in rules}
    problems = [f"missing: {rule.source} (for {rule.target})" for rule in rules if rule.source not in arrays]
    problems += [f"unexpected: {key}" for key in arrays if key not in by_source and not ignore(key)]
    problems += [f"no rule gives {target}" for target in shapes if target not in {r.target for r in rules}]
    converted = {}
    for rule in rules:
        if rule.source not in arrays:
            continue
        source, wanted = arrays[rule.source], shapes[rule.target].shape
        if source.size != np.prod(wanted, dtype=int):
            problems.append(f"mis-shaped: {rule.source} is {source.shape}, for {rule.target} {wanted}")
            continue
        array = rule.transform(source)
        if array.shape != wanted:
            problems.append(f"mis-shaped: {rule.source} is {source.shape}, for {rule.target} {wanted}")
        converted[rule.target] = array.astype(np.float32, copy=False)
    if problems:
        shown = "\n  ".join(problems[:20] + ([f"... {len(problems) - 20} more"] if len(problems) > 20 else []))
        raise CheckpointError(f"The arrays do not fit the model in {len(problems)} places:\n  {shown}")
    return flax.traverse_util.unflatten_dict(converted, sep="/")

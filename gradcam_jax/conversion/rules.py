"""Renames and reshapes another program's arrays into a model's variables, and checks every one, both ways.

A conversion is a readable table of rules, one a source array: what it was called, where it goes, and how its
axes change. Missing, unexpected and mis-shaped arrays are reported together.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.traverse_util
import jax
import numpy as np

from gradcam_jax.conversion.row_major import row_major
from gradcam_jax.errors import CheckpointError

Transform = Callable[[np.ndarray], np.ndarray]


class Rule(NamedTuple):
    """One array: its ``source`` key, its ``target`` path such as ``"params/conv1/kernel"``, its ``transform``."""

    source: str
    target: str
    transform: Transform


class View(NamedTuple):
    """An array in its new order, not yet copied; a matrix may still have its first axis split into three."""

    shape: tuple[int, ...]
    view: np.ndarray


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
    """Turns the matrix after a flatten of C,H,W (Caffe, Torch) into one after a flatten of H,W,C (here).

    The result is a view ``(h, w, c, out)``: no view has the first three axes in one, and :func:`convert` makes a
    copy only where one is needed.
    """

    def transform(array: np.ndarray) -> np.ndarray:
        return array.reshape(array.shape[-2], channels, height, width).transpose(2, 3, 1, 0)

    return transform


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


def variable_shapes(model: Any, *inputs: Any, **options: Any) -> dict[str, Any]:
    """Returns a Linen module's variables for such inputs, shapes or arrays, as shapes; nothing is computed.

    ``options`` are the further arguments of the module's call.
    """
    # The key is made inside: made outside, it would be computed, which compiles a program.
    return jax.eval_shape(lambda *inputs: model.init(jax.random.key(0), *inputs, **options), *inputs)


def convert(
    arrays: Mapping[str, np.ndarray],
    rules: Sequence[Rule],
    expected: Mapping[str, Any],
    *,
    ignore: Callable[[str], bool] = lambda _: False,
) -> dict[str, Any]:
    """Applies the rules to every array and returns the model's variables, float32 numpy arrays.

    Args:
        arrays: Source key -> array.
        rules: The model's table.
        expected: The variables' shapes, as :func:`variable_shapes` gives them.
        ignore: Whether a source key is known and not needed (counters, unused projections).

    Raises:
        CheckpointError: If an array is missing, unexpected or of another shape; all are listed.
    """
    views = transformed_views(arrays, rules, expected, ignore=ignore)
    converted = {path: row_major(view).reshape(shape) for path, (shape, view) in views.items()}
    return flax.traverse_util.unflatten_dict(converted, sep="/")


def transformed_views(
    arrays: Mapping[str, np.ndarray],
    rules: Sequence[Rule],
    expected: Mapping[str, Any],
    *,
    ignore: Callable[[str], bool] = lambda _: False,
) -> dict[str, View]:
    """Applies the rules as :func:`convert` does, without a copy: path -> shape and view, to be written in turn."""
    shapes: dict[str, Any] = dict(flax.traverse_util.flatten_dict(dict(expected), sep="/"))
    sources, targets = {rule.source for rule in rules}, {rule.target for rule in rules}
    problems = [f"missing: {rule.source} (for {rule.target})" for rule in rules if rule.source not in arrays]
    problems += [f"unexpected: {key}" for key in arrays if key not in sources and not ignore(key)]
    problems += [f"no rule gives {target}" for target in shapes if target not in targets]
    converted = {}
    for rule in rules:
        if rule.source not in arrays:
            continue
        source, shape = arrays[rule.source], shapes[rule.target].shape
        view = _transformed(rule, source, shape)
        if view is None:
            problems.append(f"mis-shaped: {rule.source} is {source.shape}, for {rule.target} {shape}")
        else:
            converted[rule.target] = View(shape, view.astype(np.float32, copy=False))
    if problems:
        shown = "\n  ".join(problems[:20] + ([f"... {len(problems) - 20} more"] if len(problems) > 20 else []))
        raise CheckpointError(f"The arrays do not fit the model in {len(problems)} places:\n  {shown}")
    return converted


def _transformed(rule: Rule, source: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """Returns the array in its new order, or None where it cannot have this shape."""
    if source.size != math.prod(shape):
        return None
    try:
        view = rule.transform(source)
    except (ValueError, IndexError):  # As many numbers, but on other axes than the transform expects.
        return None
    merged = (math.prod(view.shape[:3]), *view.shape[3:]) if len(shape) == 2 else view.shape
    return view if shape in (view.shape, merged) else None

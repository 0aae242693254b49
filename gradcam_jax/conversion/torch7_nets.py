"""Torch7's classifiers: an ``nn.Sequential``, whose layers have places and no names.

loadcaffe makes one of a Caffe net, and fine-tuning replaces its last layer. The layers that have weights are, in
order, those of the Caffe net's table.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gradcam_jax.conversion.rules import Rule
from gradcam_jax.errors import CheckpointError
from gradcam_jax.formats.torch7_values import Table, TorchObject

_NETS = ("model", "net", "network", "cnn")  # where a training script's table may have it
_CONTAINERS = ("Sequential", "DataParallelTable")


def find_network(root: Any) -> TorchObject | None:
    """Returns the network that a Torch7 file holds, itself or in its table; None if there is none."""
    candidates = [root, *(root.get(name) for name in _NETS)] if isinstance(root, Table) else [root]
    return next((value for value in candidates if isinstance(value, TorchObject) and _modules(value)), None)


def network_arrays(network: TorchObject) -> dict[str, np.ndarray]:
    """Returns the weights of a network's layers, numbered from 1 in order: ``"1/weight"``, ``"1/bias"``, ..."""
    arrays = {}
    for number, module in enumerate(_weighted(network), 1):
        for name in ("weight", "bias"):
            array = module.get(name)
            if isinstance(array, np.ndarray) and array.size:
                arrays[f"{number}/{name}"] = _unfolded(module, array)
    return arrays


def by_place(arrays: Mapping[str, np.ndarray], rules: Sequence[Rule]) -> dict[str, np.ndarray]:
    """Gives the arrays of :func:`network_arrays` the names of a table whose layers are in the same order.

    Raises:
        CheckpointError: If there are more layers, or fewer.

    Example:
        >>> from gradcam_jax.conversion.rules import dense, weight_and_bias
        >>> rules = [*weight_and_bias("fc7/", "fc7", dense), *weight_and_bias("fc8/", "fc8", dense)]
        >>> list(by_place({"1/weight": np.ones(2), "2/weight": np.ones(2), "2/bias": np.ones(1)}, rules))
        ['fc7/weight', 'fc8/weight', 'fc8/bias']
    """
    layers = list(dict.fromkeys(rule.source.rpartition("/")[0] for rule in rules))
    numbers = list(dict.fromkeys(name.partition("/")[0] for name in arrays))
    if len(numbers) != len(layers):
        raise CheckpointError(
            f"Expected a network of {len(layers)} layers with weights, {layers[0]} to {layers[-1]}, got "
            f"{len(numbers)}."
        )
    names = dict(zip(numbers, layers, strict=True))
    return {f"{names[number]}/{kind}": arrays[f"{number}/{kind}"] for number, kind in _split(arrays)}


def _split(arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[str, str]]:
    for name in arrays:
        number, _, kind = name.partition("/")
        yield number, kind


def _modules(owner: TorchObject) -> list[Any]:
    table = owner.get("modules")
    return (
        [table[index] for index in range(1, len(table) + 1) if index in table] if isinstance(table, Table) else []
    )


def _weighted(network: TorchObject) -> Iterator[TorchObject]:
    """Yields the modules that have weights, those of inner containers in their places."""
    waiting = [network]
    visited: set[int] = set()
    while waiting:
        module = waiting.pop()
        if not isinstance(module, TorchObject) or id(module) in visited:
            continue
        visited.add(id(module))
        inner = _modules(module)
        if inner and not module.class_name.endswith(_CONTAINERS):
            raise CheckpointError(f"Expected a network of layers in a row, got a {module.class_name} in it.")
        waiting += inner[:1] if module.class_name.endswith("DataParallelTable") else reversed(inner)
        weight = module.get("weight")
        if isinstance(weight, np.ndarray) and weight.size:
            yield module


def _unfolded(module: TorchObject, array: np.ndarray) -> np.ndarray:
    """Returns a convolution's kernel as (out, in, h, w): older classes keep a matrix (out, in * h * w)."""
    height, width = module.get("kH"), module.get("kW")
    if array.ndim == 2 and isinstance(height, int | float) and isinstance(width, int | float):
        height, width = int(height), int(width)
        if height > 0 < width and array.shape[1] % (height * width) == 0:
            return array.reshape(array.shape[0], -1, height, width)
    return array

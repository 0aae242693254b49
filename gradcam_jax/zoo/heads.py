"""What VQA models and captioners share: a head on a CNN, its checkpoint, and the CNN's layers by name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gradcam_jax.conversion.rules import convert, unchanged, variable_shapes
from gradcam_jax.errors import InputError, nearest
from gradcam_jax.interception.names import require_layers
from gradcam_jax.zoo import classifiers as zoo

_CNN = "cnn/"


def head_variables(
    arrays: Mapping[str, np.ndarray], expected: Mapping[str, Any], cnn: str | None
) -> dict[str, Any]:
    """Returns a model's variables from its checkpoint's arrays.

    Args:
        arrays: Path such as ``"params/fc8/bias"`` -> array.
        expected: The variables' shapes.
        cnn: The zoo's classifier whose weights the CNN has, unless the checkpoint holds the CNN's own; None if it
            must.

    Raises:
        CheckpointError: If the weights do not fit.
    """
    if cnn is None or any(name.startswith("params/" + _CNN) for name in arrays):
        return convert(arrays, unchanged(expected), expected)
    return with_cnn(convert_head(arrays, expected), cnn)


def convert_head(arrays: Mapping[str, np.ndarray], expected: Mapping[str, Any]) -> dict[str, Any]:
    """Checks a head's arrays against a model's variables, the CNN's left out, and returns its parameters."""
    head = {"params": {name: leaf for name, leaf in expected["params"].items() if name != "cnn"}}
    return convert(arrays, unchanged(head), head)["params"]


def with_cnn(head: Mapping[str, Any], cnn: str) -> dict[str, Any]:
    """Returns a model's variables: a head's parameters, on a classifier's without its last layer.

    Args:
        head: The head's parameters.
        cnn: The classifier's name in the zoo.
    """
    entry = zoo.find_entry(cnn)
    without_classifier = variable_shapes(entry.build(classes=None), zoo.example_image(entry))["params"]
    variables = dict(zoo.load_variables(entry))
    params = {name: leaf for name, leaf in variables.pop("params").items() if name in without_classifier}
    others = {collection: {"cnn": leaves} for collection, leaves in variables.items()}
    return {"params": {**head, "cnn": params}, **others}


def spatial_cnn_layers(shapes: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, tuple[int, ...]]:
    """Keeps the CNN's layers that can be mapped, in the order of their calls, with their shapes ``(h, w, k)``."""
    return {name: leaf.shape for name, leaf in shapes.items() if name.startswith(_CNN) and len(leaf.shape) == 3}


def choose_layer(layers: Sequence[str], name: str) -> str:
    """Returns a layer by its name, with or without ``cnn/``, or by its 1-based number among the layers.

    Raises:
        LayerError: If there is no such layer; the nearest are listed.
        InputError: If there is no layer of that number.
    """
    if name.isdigit():
        if not 1 <= int(name) <= len(layers):
            raise InputError(f"Expected a layer number from 1 to {len(layers)}, got {name} instead.")
        return layers[int(name) - 1]
    wanted = name if name.startswith(_CNN) else _CNN + name
    require_layers([wanted], layers)
    return wanted


def checkpoint_path(name_or_path: str, commands: Mapping[str, str], *, kind: str, torch7_files: str) -> Path:
    """Returns the file of a known model, or the file named.

    Args:
        name_or_path: A known model's name, or a checkpoint.
        commands: Name of each known model -> the command that brings its weights.
        kind: What the models are, for messages.
        torch7_files: The original's model and, after ``{}`` for the file named, what else it is made from.

    Raises:
        InputError: If there is no such file; the message tells how to get it.
    """
    if name_or_path in commands:
        path = find_checkpoint(name_or_path)
        if path is None:
            raise InputError(
                f"The weights of {name_or_path} are not here. Get them with:  {commands[name_or_path]}"
            )
        return path
    path = Path(name_or_path)
    if path.suffix == ".t7":
        files = torch7_files.format(name_or_path)
        raise InputError(
            f"{name_or_path!r} is a Torch7 file. Convert it once:  "
            f"python scripts/convert_checkpoint.py --model {files}"
        )
    if not path.is_file():
        near = nearest(name_or_path, commands) or list(commands)
        raise InputError(f"There is no {kind} or file {name_or_path!r}. Nearest: {', '.join(near)}.")
    return path


def find_checkpoint(name: str) -> Path | None:
    """Returns this project's checkpoint of a name on this machine, or None if it is not here."""
    files = [folder / (name + zoo.CHECKPOINT_SUFFIX) for folder in zoo.checkpoint_folders()]
    return next((file for file in files if file.is_file()), None)

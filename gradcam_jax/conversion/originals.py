"""From other programs' files to one model's arrays: which files a model is made of, known by what they hold.

A file's name is never believed. A file that fits another model than the one asked for is an error that names it.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gradcam_jax.conversion.alexnet import alexnet_from_caffe, alexnet_from_torchvision
from gradcam_jax.conversion.captioner import (
    captioner_arrays,
    captioner_from_torch7,
    captioner_words,
    is_captioner_table,
)
from gradcam_jax.conversion.efficientnet_lite import efficientnet_lite0_from_pytorch, is_batch_counter
from gradcam_jax.conversion.rules import Rule
from gradcam_jax.conversion.vgg import VGG16, VGG19, vgg_from_caffe, vgg_from_torchvision
from gradcam_jax.conversion.vqa import is_not_needed, is_vqa_table, split_vectors, vqa_from_originals
from gradcam_jax.errors import CheckpointError, InputError
from gradcam_jax.formats.caffemodel import caffe_arrays, read_caffemodel
from gradcam_jax.formats.recognise import READERS, recognise_format
from gradcam_jax.formats.torch7 import read_torch7
from gradcam_jax.formats.torch7_values import torch7_arrays
from gradcam_jax.text.vocabulary import read_vocabularies

CAFFE, TORCH7, VOCABULARY = "caffemodel", "torch7", "vocabulary"
NAMED = ("pytorch", "safetensors", "npz")
"""Formats that hold a PyTorch program's arrays under its own names."""


class File(NamedTuple):
    """What one file holds.

    Attributes:
        path: The file.
        format: A key of :data:`gradcam_jax.formats.recognise.READERS`, or ``"vocabulary"``.
        arrays: Its arrays by name; those of a known Torch7 model by the names that its table uses.
        layers: A Caffe net's layers, in the file's order; else empty.
        words: The words of its vocabulary, by index.
        answers: The answers of its vocabulary, by index.
    """

    path: Path
    format: str
    arrays: dict[str, np.ndarray]
    layers: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


class Model(NamedTuple):
    """What a model is made from.

    Attributes:
        files: For each of its files, the formats that it may have.
        rules: Its table.
        ignore: Tells which keys are known and not needed.
        layer_order: Two layers of the Caffe net, of which the first must come first.
    """

    files: tuple[tuple[str, ...], ...]
    rules: Callable[[], list[Rule]]
    ignore: Callable[[str], bool] = lambda _: False
    layer_order: tuple[str, str] | None = None


MODELS = {
    "efficientnet_lite0": Model((NAMED,), efficientnet_lite0_from_pytorch, is_batch_counter),
    "vgg16": Model(((CAFFE,),), lambda: vgg_from_caffe(VGG16)),
    "vgg19": Model(((CAFFE,),), lambda: vgg_from_caffe(VGG19)),
    # CaffeNet has AlexNet's names and shapes, but pools before it normalises.
    "alexnet": Model(((CAFFE,),), alexnet_from_caffe, layer_order=("norm1", "pool1")),
    "vgg16_torchvision": Model((NAMED,), lambda: vgg_from_torchvision(VGG16)),
    "vgg19_torchvision": Model((NAMED,), lambda: vgg_from_torchvision(VGG19)),
    "alexnet_torchvision": Model((NAMED,), alexnet_from_torchvision),
    "vqa_vgg19": Model(((CAFFE,), (TORCH7,), (VOCABULARY,)), vqa_from_originals, is_not_needed),
    "captioner_vgg16": Model(((TORCH7,),), captioner_from_torch7),
}
"""Every model that can be converted, by its name in the zoo."""


def read_file(path: str | os.PathLike[str]) -> File:
    """Recognises a file by its content and reads it.

    Raises:
        CheckpointError: If its format is unknown, or it is damaged.
    """
    path = Path(path)
    if _is_json(path):
        words, answers = read_vocabularies(path)
        return File(path, VOCABULARY, {}, words=words.entries, answers=answers.entries)
    format = recognise_format(path)
    if format == CAFFE:
        net = read_caffemodel(path)
        return File(path, format, caffe_arrays(net), layers=tuple(layer.name for layer in net.layers))
    if format != TORCH7:
        return File(path, format, READERS[format](path))
    root = read_torch7(path)
    if is_captioner_table(root):
        return File(path, format, captioner_arrays(root), words=captioner_words(root))
    return File(path, format, split_vectors(root) if is_vqa_table(root) else torch7_arrays(root))


def arrays_of(name: str, files: Sequence[File]) -> dict[str, np.ndarray]:
    """Brings together the arrays that a model is made from, in any order of the files.

    Args:
        name: A key of :data:`MODELS`.
        files: The model's files.

    Returns:
        The arrays under the names that the model's table expects.

    Raises:
        InputError: If a file is missing or one too many.
        CheckpointError: If a file is another model's.
    """
    model = MODELS[name]
    if len(files) != len(model.files) or not all(
        any(file.format in formats for file in files) for formats in model.files
    ):
        wanted = ", ".join(" or ".join(formats) for formats in model.files)
        came = ", ".join(f"{file.path.name} ({file.format})" for file in files)
        hint = _hint([other for other in MODELS if len(files) == 1 and _fits(MODELS[other], files[0])])
        raise InputError(f"{name} is made from {wanted}, got {came}.{hint}")
    if len(files) == 1 and not _fits(model, files[0]):
        others = [other for other in MODELS if _fits(MODELS[other], files[0])]
        if others:
            raise CheckpointError(f"{files[0].path.name} is not a file of {name}.{_hint(others)}")
    for file in files:
        _require_order(file, model.layer_order)
    return {key: array for file in files for key, array in file.arrays.items()}


def _fits(model: Model, file: File) -> bool:
    """Tells whether a model is made from this one file, by the names of the arrays."""
    if len(model.files) > 1 or not all(file.format in formats for formats in model.files):
        return False
    return {rule.source for rule in model.rules()} == {key for key in file.arrays if not model.ignore(key)}


def _hint(names: Sequence[str]) -> str:
    return f" What the file holds fits --model {' or '.join(names)}." if names else ""


def _require_order(file: File, order: tuple[str, str] | None) -> None:
    if order is None or not set(order) <= set(file.layers):
        return
    first, second = order
    if file.layers.index(first) > file.layers.index(second):
        raise CheckpointError(
            f"{file.path.name}: expected {first} to come before {second}, as in bvlc_alexnet; here it comes "
            "after, as in CaffeNet, another net with the same shapes."
        )


def _is_json(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip().startswith(b"{")
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}.") from error

"""From other programs' files to one model's arrays: which files a model is made of, known by what they hold.

A file's name says nothing. A file that fits another model than the one named is an error that names the other.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gradcam_jax.conversion.captioner import captioner_arrays, captioner_words, is_captioner_table
from gradcam_jax.conversion.vqa import is_vqa_table, split_vectors
from gradcam_jax.errors import CheckpointError, InputError
from gradcam_jax.formats.caffemodel import caffe_arrays, read_caffemodel
from gradcam_jax.formats.recognise import READERS, recognise_format
from gradcam_jax.formats.torch7 import read_torch7
from gradcam_jax.formats.torch7_values import torch7_arrays
from gradcam_jax.text.vocabulary import read_vocabularies
from gradcam_jax.zoo.entries import CAFFE, TORCH7, VOCABULARY, Entry, Originals
from gradcam_jax.zoo.places import get_command
from gradcam_jax.zoo.table import MODELS


class File(NamedTuple):
    """What one file holds: arrays by name, a Caffe net's layers in order, a vocabulary's words and answers.

    The format is a key of :data:`gradcam_jax.formats.recognise.READERS`, or ``"vocabulary"``. The arrays of a
    known Torch7 model have the names that its table uses.
    """

    path: Path
    format: str
    arrays: dict[str, np.ndarray]
    layers: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


def read_file(path: str | os.PathLike[str]) -> File:
    """Recognises a file by its content and reads it; one of no known format is a :class:`CheckpointError`."""
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


def originals_of(entry: Entry) -> Originals:
    """Returns how other programs' files become a model; if none do, an error names the command for its weights."""
    if entry.originals is None:
        raise InputError(
            f"{entry.name} is not made from other programs' files. Get its weights with:  {get_command(entry)}"
        )
    return entry.originals


def arrays_of(entry: Entry, files: Sequence[File]) -> dict[str, np.ndarray]:
    """Joins the arrays that a model is made from, under the names that its table expects; files in any order.

    Raises:
        InputError: If a file is missing or one too many.
        CheckpointError: If a file is another model's.
    """
    name, originals = entry.name, originals_of(entry)
    fitting = [other.name for other in MODELS.values() if len(files) == 1 and _fits(other, files[0])]
    hint = f" What the file holds fits --model {' or '.join(fitting)}." if fitting else ""
    if len(files) != len(originals.files) or not all(
        any(file.format in formats for file in files) for formats in originals.files
    ):
        expected = ", ".join(" or ".join(formats) for formats in originals.files)
        got = ", ".join(f"{file.path.name} ({file.format})" for file in files)
        raise InputError(f"{name} is made from {expected}, got {got}.{hint}")
    if fitting and not _fits(entry, files[0]):
        raise CheckpointError(f"{files[0].path.name} is not a file of {name}.{hint}")
    for file in files:
        _require_order(file, originals.layer_order)
    return {originals.renamed(key): array for file in files for key, array in file.arrays.items()}


def _fits(entry: Entry, file: File) -> bool:
    """Tells whether a model is made from this one file, by the names of the arrays."""
    originals = entry.originals
    if originals is None or len(originals.files) != 1 or file.format not in originals.files[0]:
        return False
    keys = {originals.renamed(key) for key in file.arrays if not originals.ignore(key)}
    return {rule.source for rule in originals.rules} == keys


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

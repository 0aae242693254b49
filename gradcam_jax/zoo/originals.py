"""From other programs' files to one model's arrays: which files a model is made of, known by what they hold.

A file's name says nothing. A file that fits another model than the one named is an error that names the other.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gradcam_jax.conversion.captioner import captioner_arrays, captioner_words, is_captioner_table
from gradcam_jax.conversion.flax_trees import ORBAX, fit_tree, read_flax_arrays
from gradcam_jax.conversion.matching import match_names
from gradcam_jax.conversion.rules import Rule, as_is
from gradcam_jax.conversion.torch7_nets import by_place, find_network, network_arrays
from gradcam_jax.conversion.vqa import is_vqa_table, split_vectors
from gradcam_jax.errors import CheckpointError, InputError
from gradcam_jax.formats.caffemodel import caffe_arrays, read_caffemodel
from gradcam_jax.formats.recognise import MSGPACK, READERS, recognise_format
from gradcam_jax.formats.torch7 import read_torch7
from gradcam_jax.formats.torch7_values import torch7_arrays
from gradcam_jax.text.vocabulary import read_vocabularies
from gradcam_jax.zoo.entries import CAFFE, TORCH7, VOCABULARY, Entry, Originals
from gradcam_jax.zoo.places import get_command
from gradcam_jax.zoo.table import MODELS


class File(NamedTuple):
    """What one file holds: arrays by name, a Caffe net's layers in order, a vocabulary's words and answers.

    The format is a key of :data:`gradcam_jax.formats.recognise.READERS`, ``"msgpack"``, ``"orbax"`` or
    ``"vocabulary"``. The arrays of a
    known Torch7 model have the names that its table uses.
    """

    path: Path
    format: str
    arrays: dict[str, np.ndarray]
    layers: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


class Arrays(NamedTuple):
    """A model's arrays, and the table from them to its variables.

    Attributes:
        arrays: Name -> array.
        rules: The table of these names.
        notes: What was done to the names, a line each.
        own_head: Whether the last layer has another name than the published file's.
    """

    arrays: dict[str, np.ndarray]
    rules: Sequence[Rule]
    notes: tuple[str, ...] = ()
    own_head: bool = False


def read_file(path: str | os.PathLike[str]) -> File:
    """Recognises a file by its content and reads it; one of no known format is a :class:`CheckpointError`."""
    path = Path(path)
    if path.is_dir():
        return File(path, ORBAX, read_flax_arrays(path))
    if _is_json(path):
        words, answers = read_vocabularies(path)
        return File(path, VOCABULARY, {}, words=words.entries, answers=answers.entries)
    format = recognise_format(path)
    if format == CAFFE:
        net = read_caffemodel(path)
        return File(path, format, caffe_arrays(net), layers=tuple(layer.name for layer in net.layers))
    if format == MSGPACK:
        return File(path, format, read_flax_arrays(path))
    if format != TORCH7:
        return File(path, format, READERS[format](path))
    root = read_torch7(path)
    if is_captioner_table(root):
        return File(path, format, captioner_arrays(root), words=captioner_words(root))
    if is_vqa_table(root):
        return File(path, format, split_vectors(root))
    network = find_network(root)
    return File(path, format, torch7_arrays(root) if network is None else network_arrays(network))


def originals_of(entry: Entry) -> Originals:
    """Returns how other programs' files become a model; if none do, an error names the command for its weights."""
    if entry.originals is None:
        raise InputError(
            f"{entry.name} is not made from other programs' files. Get its weights with:  {get_command(entry)}"
        )
    return entry.originals


def arrays_of(entry: Entry, files: Sequence[File]) -> Arrays:
    """Joins the arrays that a model is made from, under the names that a table expects; files in any order.

    A classifier's last layer may have another name, and a prefix stand before all names: see
    :func:`gradcam_jax.conversion.matching.match_names`. A checkpoint under this project's own names is one too.

    Raises:
        InputError: If a file is missing or one too many.
        CheckpointError: If a file is another model's, or is another network.
    """
    name, originals = entry.name, originals_of(entry)
    own = _own(entry, files[0]) if len(files) == 1 else None
    if own is not None:
        return own
    if not _are_of(entry, files):
        expected = ", ".join(" or ".join(formats) for formats in originals.files)
        got = ", ".join(f"{file.path.name} ({file.format})" for file in files)
        raise InputError(f"{name} is made from {expected}, got {got}.{_hint(files)}")
    for file in files:
        _require_order(file, originals.layer_order)
    arrays = {originals.renamed(key): array for file in files for key, array in file.arrays.items()}
    if entry.task != "classification":
        return Arrays(arrays, originals.rules)
    if files[0].format == TORCH7:
        return Arrays(by_place(arrays, originals.rules), originals.rules)
    if not _fits(entry, files[0]) and (hint := _hint(files)):
        raise CheckpointError(f"{files[0].path.name} is not a file of {name}.{hint}")
    matched = match_names(arrays, originals.rules, head_of(originals.rules), ignore=originals.ignore)
    return Arrays(matched.arrays, originals.rules, matched.notes, matched.own_head)


def head_of(rules: Sequence[Rule]) -> tuple[str, ...]:
    """Returns the targets of a classifier's last layer, whose shapes go with the classes: a table's last."""
    layer = rules[-1].target.rpartition("/")[0]
    return tuple(rule.target for rule in rules if rule.target.rpartition("/")[0] == layer)


def _are_of(entry: Entry, files: Sequence[File]) -> bool:
    """Tells whether the files have the formats of a model's."""
    expected = originals_of(entry).files
    return len(files) == len(expected) and all(
        any(file.format in formats for file in files) for formats in expected
    )


def _own(entry: Entry, file: File) -> Arrays | None:
    """Returns a checkpoint's arrays if it has the model's variables, under their own names, wherever in it."""
    rules = [Rule(rule.target, rule.target, as_is) for rule in originals_of(entry).rules]
    fitted = fit_tree(file.arrays, [rule.target for rule in rules]) if entry.task == "classification" else None
    if fitted is None or not {rule.source for rule in rules} <= fitted.arrays.keys():
        return None
    return Arrays(fitted.arrays, rules, fitted.notes)


def _hint(files: Sequence[File]) -> str:
    """Names the models that are made from this one file, by the names of the arrays."""
    fitting = [entry.name for entry in MODELS.values() if len(files) == 1 and _fits(entry, files[0])]
    return f" What the file holds fits --model {' or '.join(fitting)}." if fitting else ""


def _fits(entry: Entry, file: File) -> bool:
    """Tells whether a model is made from this one file, by the names of the arrays."""
    originals = entry.originals
    if originals is None or not _are_of(entry, [file]):
        return False
    arrays = {originals.renamed(key): array for key, array in file.arrays.items()}
    if entry.task == "classification":
        try:
            arrays = match_names(arrays, originals.rules, head_of(originals.rules), ignore=originals.ignore).arrays
        except CheckpointError:
            return True  # the network is there: twice, or with several layers in the place of its last
    return {rule.source for rule in originals.rules} == {key for key in arrays if not originals.ignore(key)}


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

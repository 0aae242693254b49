"""This project's own checkpoints: safetensors with a card that says what the weights are and where they come from.

A tensor's key is its variable's path, ``params/fc8/bias``; the card is JSON in the file's metadata under
``card``. Any program that reads safetensors can read both.
"""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import flax.traverse_util
import numpy as np

from gradcam_jax.conversion.row_major import row_major_pieces
from gradcam_jax.conversion.rules import View
from gradcam_jax.errors import CheckpointError, InputError
from gradcam_jax.formats.recognise import recognise_format
from gradcam_jax.formats.safetensors_file import read_safetensors, read_safetensors_metadata
from gradcam_jax.formats.whole_file import replacing

Progress = Callable[[int, int], object]
"""Called with (bytes written, bytes in all)."""

_DTYPES = {"float32": "F32", "float16": "F16"}  # numpy's names and safetensors'
_FLUSHED_AT_ONCE = 64 << 20  # Bytes: the disk writes while arrays are transposed, not only after the last.
_READ_AT_ONCE = 1 << 20  # Bytes.
_ALIGNMENT = 64  # Bytes: JAX on a CPU uses arrays that begin at a multiple without a copy.


class SourceFile(NamedTuple):
    """A file that a checkpoint was made from."""

    name: str
    bytes: int
    sha256: str


class Card(NamedTuple):
    """What a checkpoint is.

    Attributes:
        model: Its name in the zoo.
        recipe: The name of its preprocessing.
        licence: The weights' terms.
        parameters: Number of parameters.
        sources: The files that it was made from.
        labels: The name of each score (classes, answers), by index; empty where there are none.
        words: The word of each row of the embedding, likewise.
        notes: Anything else: the data and the command that trained it, its accuracy.
    """

    model: str
    recipe: str
    licence: str
    parameters: int
    sources: tuple[SourceFile, ...] = ()
    labels: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    notes: str = ""


def describe_source(path: str | os.PathLike[str]) -> SourceFile:
    """Hashes a file that a checkpoint is made from, or a folder's files in the order of their names.

    One that cannot be read is an :class:`InputError`.
    """
    try:
        digest, size = hashlib.sha256(), 0
        for part in _files(Path(path)):
            with part.open("rb") as file:
                while content := file.read(_READ_AT_ONCE):
                    digest.update(content)
                size += file.tell()
        return SourceFile(Path(path).name, size, digest.hexdigest())
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from error


def unhashed_source(path: str | os.PathLike[str]) -> SourceFile:
    """Describes a file as :func:`describe_source` does, with zeros in place of its digest."""
    try:
        size = sum(part.stat().st_size for part in _files(Path(path)))
        return SourceFile(Path(path).name, size, "0" * 64)
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from error


def _files(path: Path) -> list[Path]:
    return sorted(part for part in path.rglob("*") if part.is_file()) if path.is_dir() else [path]


def count_parameters(variables: Mapping[str, Any]) -> int:
    """Returns the number of trainable parameters, those under ``params``."""
    flat: dict[Any, Any] = dict(flax.traverse_util.flatten_dict(dict(variables.get("params", {}))))
    return sum(math.prod(array.shape) for array in flat.values())


def write_checkpoint(
    path: str | os.PathLike[str],
    variables: Mapping[str, Any],
    card: Card,
    *,
    progress: Progress = lambda *_: None,
) -> None:
    """Writes float32 or float16 variables, ``{"params": {...}, ...}``, and a card.

    The file's name never holds anything but the whole file; its folder is made if it is not there.

    Raises:
        InputError: If it cannot be written, or an array is of another type.
    """
    arrays: dict[str, Any] = dict(flax.traverse_util.flatten_dict(dict(variables), sep="/"))
    views = {key: View(array.shape, np.asarray(array)) for key, array in arrays.items()}
    write_views(path, views, card, progress=progress)


def write_views(
    path: str | os.PathLike[str],
    views: Mapping[str, View],
    card: Card,
    *,
    hashed_sources: Callable[[], Iterable[SourceFile]] | None = None,
    progress: Progress = lambda *_: None,
) -> None:
    """Writes a checkpoint as :func:`write_checkpoint` does, from a conversion's views, without a copy of any.

    ``hashed_sources`` returns the card's sources; it is called after the arrays are written, so that the hashing
    can run meanwhile. ``card.sources`` are then those of :func:`unhashed_source`; one that changed is an error.
    """
    for key, (_, view) in views.items():
        if view.dtype.name not in _DTYPES:
            raise InputError(f"A checkpoint holds {' or '.join(_DTYPES)} arrays; {key} is {view.dtype}.")
    header = _header(views, card)
    try:
        with replacing(path) as file:
            _write_arrays(file, len(header), [view for _, view in views.values()], progress)
            if hashed_sources is not None:
                hashed = card._replace(sources=tuple(hashed_sources()))
                _require_unchanged(card.sources, hashed.sources)
                header = _header(views, hashed)  # As long as before: every digest has 64 letters.
            file.seek(0)
            file.write(header)
    except OSError as error:
        raise InputError(f"Cannot write {os.fspath(path)!r}: {error.strerror}.") from error


def read_checkpoint(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], Card]:
    """Reads a checkpoint: path such as ``"params/fc8/bias"`` -> read-only view on the mapped file, and the card.

    Raises:
        CheckpointError: If the file is damaged, or not one of this project's.
    """
    return read_safetensors(path), read_card(path)


def read_card(path: str | os.PathLike[str]) -> Card:
    """Reads a checkpoint's card without its arrays.

    Raises:
        CheckpointError: If the file is damaged, or not one of this project's.
    """
    text = read_safetensors_metadata(path).get("card")
    if text is None:
        raise CheckpointError(
            f"{os.fspath(path)}: has no card, so it is not a checkpoint of this project. Make one of it with "
            f"python scripts/convert_checkpoint.py --model NAME {os.fspath(path)}  or name the function that "
            f"returns its model:  explain.py --model package.module:function --checkpoint {os.fspath(path)}"
        )
    try:
        fields = json.loads(text)
        sources = tuple(SourceFile(**source) for source in fields.pop("sources", ()))
        labels, words = (tuple(fields.pop(name, ())) for name in ("labels", "words"))
        return Card(sources=sources, labels=labels, words=words, **fields)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{os.fspath(path)}: its card cannot be read: {error}") from error


def card_of(path: str | os.PathLike[str]) -> Card | None:
    """Returns the card of a checkpoint of this project; None for a file of another kind, or a folder.

    Raises:
        CheckpointError: If the file cannot be read.
    """
    if os.path.isdir(path) or recognise_format(path) != "safetensors":
        return None
    return read_card(path) if "card" in read_safetensors_metadata(path) else None


def _require_unchanged(before: Sequence[SourceFile], after: Sequence[SourceFile]) -> None:
    for old, new in zip(before, after, strict=True):
        if (old.name, old.bytes) != (new.name, new.bytes):
            raise InputError(f"{old.name} changed while it was read, from {old.bytes:,} to {new.bytes:,} bytes.")


def _header(views: Mapping[str, View], card: Card) -> bytes:
    fields = card._asdict() | {"sources": [source._asdict() for source in card.sources]}
    header: dict[str, Any] = {"__metadata__": {"card": json.dumps(fields, ensure_ascii=False)}}
    position = 0
    for key, (shape, view) in views.items():
        dtype, end = _DTYPES[view.dtype.name], position + view.nbytes
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [position, end]}
        position = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _write_arrays(file: BinaryIO, start: int, arrays: Sequence[np.ndarray], progress: Progress) -> None:
    total, done, flushed = sum(array.nbytes for array in arrays), 0, 0
    with ThreadPoolExecutor(1) as pool:
        flushes = []
        for array in arrays:
            for first, piece in row_major_pieces(array):
                file.seek(start + first * piece.itemsize)
                file.write(piece.data.cast("B"))
                done += piece.nbytes
                if done - flushed >= _FLUSHED_AT_ONCE:
                    flushes.append(pool.submit(os.fsync, file.fileno()))
                    flushed = done
                progress(done, total)
            start += array.nbytes
        for flush in flushes:
            flush.result()  # The system reports a failed write only once.

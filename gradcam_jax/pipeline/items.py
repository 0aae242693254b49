"""What is to be explained, streamed: a folder, a glob, a list (txt, jsonl, csv), a photo, or a TFDS split.

Nothing is listed into memory: a folder may hold a million files, and a list may be larger than memory.
"""

import functools
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import PIL.Image

from gradcam_jax.errors import InputError
from gradcam_jax.formats.storage import is_remote, path_of
from gradcam_jax.images.tfds_source import PREFIX
from gradcam_jax.pipeline.lists import LISTS, PATHS, Row, read_rows
from gradcam_jax.pipeline.seen import Seen
from gradcam_jax.pipeline.walk import matches

_NO_PHOTOS = frozenset(("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"))
"""Formats that Pillow names, but reads with another program alone."""

REQUESTS = ("label", "question", "answer", "caption")
"""What a line of a list may say about its own image, besides ``id``."""

_MAGIC = frozenset("*?[")


class Item(NamedTuple):
    """One image to be explained.

    Attributes:
        id: Tells it from every other image of the run; what a reader asks for.
        path: The file, or where in a data set it lies.
        request: What is asked of this image in particular, by the names of :data:`REQUESTS`.
        pixels: Returns the photo, uint8 ``(H, W, 3)``, if it is not a file.
        problem: What is wrong with the line that names it; empty if nothing is.
    """

    id: str
    path: str
    request: Mapping[str, str] = {}
    pixels: Callable[[], Any] | None = None
    problem: str = ""


@functools.cache
def photo_suffixes() -> frozenset[str]:
    """Returns what the name of a photo in a folder ends in: all that Pillow reads; a glob and a list name any."""
    formats = PIL.Image.registered_extensions()
    return frozenset(
        suffix for suffix, name in formats.items() if name in PIL.Image.OPEN and name not in _NO_PHOTOS
    )


def read_items(source: str, passed_over: Counter[str] | None = None) -> Iterator[Item]:
    """Streams what a source names.

    Folders, lists and photos may lie in an object store (``s3://bucket/photos``); its listing is in memory.

    Args:
        source: A folder (searched to the bottom), a glob (``"photos/**/*.jpg"``), a ``.txt`` list (a path a
            line), a ``.jsonl`` or ``.csv`` list (``path``, and if wanted ``id``, ``label``, ``question``,
            ``answer``, ``caption``; other fields are left alone), one photo, or ``"tfds:NAME/SPLIT"``. Paths
            in a list are relative to the list's folder.
        passed_over: Where files of a folder are counted that are no photos, by what their names end in.

    Returns:
        The images, in the source's order; a folder's in the file system's. What this program wrote is not among
        them.

    Raises:
        InputError: If there is no such source or it cannot be read. A bad line is an item with a ``problem``.
    """
    if source.startswith(PREFIX):
        from gradcam_jax.pipeline.tfds_items import read_tfds  # which itself reads items of this kind

        return read_tfds(source.removeprefix(PREFIX))
    path = path_of(source if is_remote(source) else os.path.expanduser(source))
    if is_remote(source) and (path.is_dir() or _MAGIC & set(source)):
        return _of_store(source)
    if path.is_dir():
        return _of_folder(path, Counter() if passed_over is None else passed_over)
    if path.is_file():
        return _of_list(path) if path.suffix.lower() in LISTS else iter([Item(path.name, str(path))])
    if _MAGIC & set(source):
        return _of_pattern(path)
    raise InputError(
        f"Expected a folder, a glob, a list (.txt, .jsonl, .csv), a photo or {PREFIX}NAME/SPLIT, "
        f"but {source!r} does not exist."
    )


def names_many(source: str) -> bool:
    """Tells whether a source may name many images: anything but one photo.

    Example:
        >>> names_many("photo.jpg"), names_many("list.csv"), names_many("photos/*.jpg"), names_many(".")
        (False, True, True, True)
    """
    path = Path(source)
    if path.is_file():
        return path.suffix.lower() in LISTS
    folder = path.is_dir() or source.endswith(("/", os.sep))
    return folder or source.startswith(PREFIX) or path.suffix.lower() in LISTS or bool(_MAGIC & set(source))


def is_list(source: str) -> bool:
    """Tells whether a source is a list whose lines may ask something of their own."""
    path = os.path.expanduser(source)
    return os.path.splitext(path)[1].lower() in (".jsonl", ".csv") and os.path.isfile(path)


def hash_of(identifier: str) -> int:
    """Returns 64 bits that stand for an image's id: what is done, and who does it, is decided by them.

    Example:
        >>> hash_of("a.jpg") == hash_of("a.jpg"), hash_of("a.jpg") == hash_of("b.jpg")
        (True, False)
    """
    return int.from_bytes(
        hashlib.blake2b(identifier.encode(errors="surrogateescape"), digest_size=8).digest(), "big"
    )


def share_of(items: Iterator[Item], process: int, processes: int) -> Iterator[Item]:
    """Keeps the images that one of several processes explains; which one depends on an image's id alone.

    Args:
        items: All images.
        process: Number of this process, from 0.
        processes: How many there are.
    """
    return (item for item in items if processes == 1 or hash_of(item.id) % processes == process)


def _of_store(source: str) -> Iterator[Item]:
    """Yields the photos below a folder of an object store, or those that match a pattern."""
    fixed = source[: min((source.index(sign) for sign in _MAGIC if sign in source), default=len(source))]
    base = path_of(source if fixed == source else fixed.rpartition("/")[0])
    paths = base.rglob("*") if fixed == source else base.glob(source.removeprefix(str(base)).lstrip("/"))
    for path in sorted(paths, key=str):
        if path.is_file() and (fixed != source or os.path.splitext(path.name)[1].lower() in photo_suffixes()):
            yield Item(str(path).removeprefix(str(base)).lstrip("/"), str(path))


def _of_pattern(pattern: Path) -> Iterator[Item]:
    parts = pattern.parts
    fixed = next(index for index, part in enumerate(parts) if _MAGIC & set(part))
    base = Path(*parts[:fixed])
    if not base.is_dir():
        raise InputError(f"There is no folder {str(base)!r} to look for {str(Path(*parts[fixed:]))!r} in.")
    return _of_glob(base, list(parts[fixed:]))


def _of_folder(folder: Path, passed_over: Counter[str]) -> Iterator[Item]:
    suffixes = photo_suffixes()
    for item in _of_glob(folder, ["**", "*"]):
        suffix = os.path.splitext(item.path)[1].lower()
        if item.problem or suffix in suffixes:
            yield item
        else:
            passed_over[suffix] += 1


def _of_glob(base: Path, parts: Sequence[str]) -> Iterator[Item]:
    folder = str(base)
    start = len(os.path.join(folder, ""))
    for path, problem in matches(folder, parts):
        yield Item(path[start:].replace(os.sep, "/") or ".", path, problem=problem)


def _of_list(path: Path) -> Iterator[Item]:
    seen = Seen()
    for line, row in read_rows(path):
        item = _of_row(line, row, path)
        if not seen.add(hash_of(item.id)):
            problem = f"line {line} of {path.name}: an image of the id {item.id!r} stands before it; give it an id"
            item = Item(f"{item.id} (line {line})", item.path, item.request, problem=problem)
        yield item


def _of_row(line: int, row: Row | str, path: Path) -> Item:
    if isinstance(row, str):
        return Item(f"line {line}", "", problem=f"line {line} of {path.name}: {row}")
    named = next((str(row[name]) for name in PATHS if row.get(name) not in (None, "")), "")
    identifier = "" if row.get("id") is None else str(row["id"])
    if not named:
        problem = f"line {line} of {path.name}: expected one of {', '.join(PATHS)}, got {', '.join(row)}"
        return Item(identifier or f"line {line}", "", problem=problem)
    request = {name: str(row[name]) for name in REQUESTS if row.get(name) not in (None, "")}
    # One photo may stand in many lines, each with its own question: then the line's number tells them apart.
    own = f"{named}#{line}" if request else named
    return Item(identifier or own, str(path.parent / os.path.expanduser(named)), request)

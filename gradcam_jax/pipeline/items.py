"""What is to be explained, streamed: a folder, a glob, a list (txt, jsonl, csv), a photo, or a TFDS split.

Nothing is listed into memory: a folder may hold a million files, and a list may be larger than memory.
"""

import csv
import fnmatch
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gradcam_jax.errors import InputError
from gradcam_jax.images.tfds_source import PREFIX

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"))
"""What the name of a photo in a folder ends in; a glob and a list name what they like."""

REQUESTS = ("label", "question", "answer", "caption")
"""What a line of a list may say about its own image, besides ``id``."""

_PATHS = ("path", "file", "file_name", "image")
_LISTS = (".txt", ".jsonl", ".csv")
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


def read_items(source: str) -> Iterator[Item]:
    """Streams what a source names.

    Args:
        source: A folder (searched to the bottom), a glob (``"photos/**/*.jpg"``), a ``.txt`` list (a path a
            line), a ``.jsonl`` or ``.csv`` list (``path``, and if wanted ``id``, ``label``, ``question``,
            ``answer``, ``caption``; other fields are left alone), one photo, or ``"tfds:NAME/SPLIT"``. Paths
            in a list are relative to the list's folder.

    Returns:
        The images, in the source's order; a folder's in the file system's.

    Raises:
        InputError: If there is no such source or it cannot be read. A bad line is an item with a ``problem``.
    """
    if source.startswith(PREFIX):
        from gradcam_jax.pipeline.tfds_items import read_tfds  # which itself reads items of this kind

        return read_tfds(source.removeprefix(PREFIX))
    path = Path(source)
    if path.is_dir():
        return (item for item in _of_glob(path, ["**", "*"]) if os.path.splitext(item.path)[1].lower() in SUFFIXES)
    if path.is_file():
        return _of_list(path) if path.suffix.lower() in _LISTS else iter([Item(path.name, str(path))])
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
        return path.suffix.lower() in _LISTS
    folder = path.is_dir() or source.endswith(("/", os.sep))
    return folder or source.startswith(PREFIX) or path.suffix.lower() in _LISTS or bool(_MAGIC & set(source))


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


def _of_pattern(pattern: Path) -> Iterator[Item]:
    parts = pattern.parts
    fixed = next(index for index, part in enumerate(parts) if _MAGIC & set(part))
    base = Path(*parts[:fixed])
    if not base.is_dir():
        raise InputError(f"There is no folder {str(base)!r} to look for {str(Path(*parts[fixed:]))!r} in.")
    return _of_glob(base, list(parts[fixed:]))


def _of_glob(base: Path, parts: Sequence[str]) -> Iterator[Item]:
    folder = str(base)
    start = len(os.path.join(folder, ""))
    for path in _matches(folder, parts):
        yield Item(path[start:].replace(os.sep, "/"), path)


def _matches(folder: str, parts: Sequence[str]) -> Iterator[str]:
    """Yields the files under a folder that match a glob's parts; ``**`` stands for any number of folders."""
    part, *rest = parts
    if part == "**" and rest:
        yield from _matches(folder, rest)
    with os.scandir(folder) as entries:
        for entry in entries:
            if part == "**":
                if rest and entry.is_dir() and not entry.name.startswith("."):
                    yield from _matches(entry.path, parts)
            elif fnmatch.fnmatchcase(entry.name, part) and not entry.name.startswith("."):
                if rest and entry.is_dir():
                    yield from _matches(entry.path, rest)
                elif not rest and entry.is_file():
                    yield entry.path


def _of_list(path: Path) -> Iterator[Item]:
    read = {".txt": _text_rows, ".jsonl": _json_rows, ".csv": _table_rows}[path.suffix.lower()]
    for line, row in read(path):
        if isinstance(row, str):
            yield Item(f"line {line}", "", problem=f"line {line} of {path.name}: {row}")
            continue
        named = next((row[name] for name in _PATHS if row.get(name)), "")
        if not named:
            problem = f"line {line} of {path.name}: expected one of {', '.join(_PATHS)}, got {', '.join(row)}"
            yield Item(str(row.get("id") or f"line {line}"), "", problem=problem)
            continue
        request = {name: str(row[name]) for name in REQUESTS if row.get(name) not in (None, "")}
        # One photo may stand in many lines, each with its own question: then the line's number tells them apart.
        own = f"{named}#{line}" if request else str(named)
        yield Item(str(row.get("id") or own), str(path.parent / str(named)), request)


def _text_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    with path.open(encoding="utf-8", errors="surrogateescape") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number, {"path": line.rstrip("\r\n")}


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    with path.open(encoding="utf-8", errors="surrogateescape") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number, _json_row(line)


def _json_row(line: str) -> dict[str, Any] | str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"expected a JSON object, got {line.strip()[:60]!r} ({error})"
    return row if isinstance(row, dict) else f"expected a JSON object, got {line.strip()[:60]!r}"


def _table_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        rows = csv.DictReader(lines)
        if not set(_PATHS) & set(rows.fieldnames or ()):
            raise InputError(
                f"Expected a column {', '.join(_PATHS[:-1])} or {_PATHS[-1]} in {str(path)!r}, "
                f"got {', '.join(rows.fieldnames or ('nothing',))}."
            )
        for row in rows:
            yield rows.line_num, row

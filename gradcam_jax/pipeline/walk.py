"""Files below a folder, streamed: each once, what the program itself wrote left out, unreadable folders named."""

import fnmatch
import json
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_RUN, _OF_A_RUN = {"run.json", "shards"}, {"overlays", "panels", "report", "shards"}
_REPORT, _OF_A_REPORT = {"report.js", "data", "pictures"}, {"data", "pictures"}
_RECORD = "explanation.json"


class Found(NamedTuple):
    """A file, or a folder that cannot be read.

    Attributes:
        path: Where it is.
        problem: Why a folder cannot be read; empty for a file.
    """

    path: str
    problem: str = ""


def matches(folder: str, parts: Sequence[str]) -> Iterator[Found]:
    """Yields the files under a folder that match a glob's parts; ``**`` stands for any number of folders.

    Hidden files are left out, and a folder that links lead back to is entered once. Left out, too, are the
    pictures that this program wrote: those of a run, of a report, and those that an ``explanation.json`` lists.

    Args:
        folder: Where to begin.
        parts: The glob's.
    """
    return _matches(folder, parts, set())


def _matches(folder: str, parts: Sequence[str], entered: set[tuple[int, int, int]]) -> Iterator[Found]:
    part, *rest = parts
    if part == "**" and rest:
        yield from _matches(folder, rest, entered)
    try:
        status = os.stat(folder)
        # With as many parts left it was looked through before, by whatever name.
        if (place := (status.st_dev, status.st_ino, len(parts))) in entered:
            return
        entered.add(place)
        own = written_names(folder)
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name in own:
                    continue
                if part == "**":
                    if rest and entry.is_dir():
                        yield from _matches(entry.path, parts, entered)
                elif fnmatch.fnmatchcase(entry.name, part):
                    if rest and entry.is_dir():
                        yield from _matches(entry.path, rest, entered)
                    elif not rest and entry.is_file():
                        yield Found(entry.path)
    except OSError as error:
        if part != "**":  # else it is said already, of the same folder
            yield Found(folder, f"the folder {folder!r} cannot be read: {error.strerror}")


def written_names(folder: str) -> set[str]:
    """Returns which of the names in a folder are of files and folders that this program wrote."""
    own: set[str] = set()
    for marks, names in ((_RUN, _OF_A_RUN), (_REPORT, _OF_A_REPORT)):
        if all(os.path.exists(os.path.join(folder, mark)) for mark in marks):
            own |= names
    try:
        with open(os.path.join(folder, _RECORD), encoding="utf-8") as file:
            own |= set(json.load(file).get("files", ()))
    except (OSError, ValueError, AttributeError, TypeError):
        pass  # there is none, or it is another program's
    return own

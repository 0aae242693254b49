"""The manifest of a run: one JSON line an image, ``ok`` with its place in a shard, or ``failed`` with the reason.

Lines are appended, never changed, and only after the shard that they name is whole on disk. What a crash can leave
is a line cut short, or some of a shard's lines; :func:`repair` takes both away, and the shard with them.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.pipeline.items import hash_of

OK, FAILED = "ok", "failed"


class Line(NamedTuple):
    """One line of a manifest.

    Attributes:
        offset: Where it begins, in bytes.
        fields: ``id, path, status, error, shard, row``, and what the task's ``record`` says: ``request,
            prediction, probability, targets`` and more.
    """

    offset: int
    fields: dict[str, Any]


class Done(NamedTuple):
    """The images that a run has already dealt with, eight bytes each.

    Attributes:
        hashes: Sorted, uint64.
        failed: How many of them failed, and were not explained when they were tried again.
    """

    hashes: np.ndarray
    failed: int

    def __contains__(self, identifier: str) -> bool:
        """Tells whether the image of this id is among them."""
        wanted = np.uint64(hash_of(identifier))
        place = int(np.searchsorted(self.hashes, wanted))
        return place < len(self.hashes) and self.hashes[place] == wanted


def read_lines(path: Path) -> Iterator[Line]:
    """Streams the whole lines of a manifest; none if there is no such file.

    Raises:
        InputError: If a line is not what a manifest holds.
    """
    if not path.is_file():
        return
    with path.open("rb") as lines:
        offset = 0
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            yield Line(offset, parse_line(line, path, number))
            offset += len(line)


def parse_line(line: bytes, path: Path, number: int) -> dict[str, Any]:
    """Reads one line of a manifest.

    Args:
        line: Its bytes.
        path: The manifest, for the message.
        number: The line's, from 1, for the message.
    """
    try:
        fields = json.loads(line)
        if not {"id", "status"} <= fields.keys():
            raise KeyError("id or status")
    except (ValueError, KeyError, AttributeError) as error:
        raise InputError(f"Line {number} of {str(path)!r} is no manifest line: {line[:60]!r}.") from error
    return fields


def append_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Appends lines and waits until they are on the disk; at an error the manifest is as it was before.

    Raises:
        OSError: If they cannot be written, for example since the disk is full.
    """
    # ASCII, so that file names that are no UTF-8 come back as they were.
    content = "".join(json.dumps(line) + "\n" for line in lines).encode("ascii")
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        try:
            while content:
                content = content[file.write(content) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(before)
            raise


def repair(path: Path, rows_of: Callable[[str], int | None]) -> list[str]:
    """Cuts off what a crash left half-written: the end of a line, or the lines of a shard that has more rows.

    Args:
        path: The manifest.
        rows_of: Shard's name -> number of its rows, or None if it is not there.

    Returns:
        The shards that the manifest then names, in order.

    Raises:
        InputError: If the manifest names a shard that is not there.
    """
    if not path.is_file():
        return []
    shards: dict[str, tuple[int, int]] = {}  # name -> where its first line begins, number of its lines
    for line in read_lines(path):
        if line.fields["status"] == OK:
            start, count = shards.get(line.fields["shard"], (line.offset, 0))
            shards[line.fields["shard"]] = start, count + 1
    with path.open("rb") as file:
        end = _end_of_last_line(file)
    names = list(shards)
    if names:
        start, count = shards[names[-1]]
        rows = rows_of(names[-1])
        if rows is None or rows != count:
            end, names = start, names[:-1]
    missing = [name for name in names if rows_of(name) is None]
    if missing:
        raise InputError(
            f"{str(path)!r} names the shard {missing[0]!r}, which is not there. "
            "Restore it, or start in another folder."
        )
    os.truncate(path, end)
    return names


def read_done(paths: Sequence[Path], *, retry_failed: bool = False) -> Done:
    """Returns the images that manifests name.

    Args:
        paths: The manifests.
        retry_failed: Whether those that failed count as not done.
    """
    hashes = np.empty(1024, np.uint64)
    count, failed = 0, set()
    for path in paths:
        for line in read_lines(path):
            if line.fields["status"] == OK:
                failed.discard(line.fields["id"])
            else:
                failed.add(line.fields["id"])
                if retry_failed:
                    continue
            if count == len(hashes):
                hashes = np.concatenate([hashes, np.empty_like(hashes)])
            hashes[count] = hash_of(line.fields["id"])
            count += 1
    return Done(np.sort(hashes[:count]), len(failed))


def read_failures(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Returns the lines of the images that failed, and were not explained when they were tried again."""
    failed: dict[str, dict[str, Any]] = {}
    for path in paths:
        for line in read_lines(path):
            if line.fields["status"] == OK:
                failed.pop(line.fields["id"], None)
            else:
                failed[line.fields["id"]] = line.fields
    return list(failed.values())


def _end_of_last_line(file: Any) -> int:
    """Returns the number of bytes up to the last line break."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(end - 65536, 0)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0

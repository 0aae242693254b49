"""Parts of a run: lists of images, cut by their ids, that machines take one after the other.

A part is the unit of work of many machines: done whole or not at all, so that one done twice leaves one result.
The run's folder, on a shared file system or in an object store, holds

- ``parts/00017.000.jsonl``, the part's images;
- ``manifest-part00017.jsonl``, written whole when they are done, naming the shards of the attempt that wrote it;
- ``parts/00017.done``, which images that were; or ``parts/00017.aside``, why the part was given up.

Nothing is appended to and nothing is locked: an object store can do neither.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from gradcam_jax.errors import InputError
from gradcam_jax.formats.storage import write_file
from gradcam_jax.pipeline.items import Item, hash_of
from gradcam_jax.pipeline.manifest import OK, read_lines

FOLDER, PREFIX = "parts", "part"
_COUNT = "count"
_BUFFERED = 64 * 2**20  # bytes of lines that wait in memory while a list is cut


class Part(NamedTuple):
    """One part of a run.

    Attributes:
        number: From 0.
        images: How many it has.
        digest: The sum of its ids' hashes, modulo 2^64: which images they are.
    """

    number: int
    images: int
    digest: int

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.number:05d}"


def cut(items: Iterator[Item], folder: Any, parts: int, *, buffered: int = _BUFFERED) -> list[Part]:
    """Writes the list of each part; which part an image is in depends on its id alone.

    Args:
        items: All images, read once.
        folder: The run's, a path or an object store's.
        parts: How many parts.
        buffered: Bytes of lines that wait in memory, at most.

    Returns:
        The parts that have an image.

    Raises:
        InputError: If an image is no file: what it is made of cannot be sent to another machine.
    """
    target = folder / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    write_file(target / _COUNT, f"{parts}\n")
    for old in list(target.glob("*.jsonl")):
        old.unlink()
    images, digests = [0] * parts, [0] * parts
    waiting: dict[int, list[str]] = {}
    size = written = 0
    for item in items:
        if item.pixels is not None:
            raise InputError(f"Machines share files alone, but {item.path!r} is part of a data set.")
        own = hash_of(item.id)
        number = own % parts
        line = json.dumps(item._asdict()) + "\n"
        waiting.setdefault(number, []).append(line)
        images[number] += 1
        digests[number] = (digests[number] + own) % 2**64
        size += len(line)
        if size > buffered:
            _write_lists(target, waiting, written)
            waiting, size, written = {}, 0, written + 1
    _write_lists(target, waiting, written)
    return [Part(number, images[number], digests[number]) for number in range(parts) if images[number]]


def number_of_parts(folder: Any) -> int:
    """Returns into how many parts a run was cut before; 0 if it was not."""
    path = folder / FOLDER / _COUNT
    return int(path.read_text(encoding="ascii")) if path.is_file() else 0


def read_part(folder: Any, part: Part) -> Iterator[Item]:
    """Streams the images of a part."""
    for path in sorted((folder / FOLDER).glob(f"{part.name}.*.jsonl"), key=str):
        with path.open("r", encoding="ascii") as lines:
            for line in lines:
                yield Item(**json.loads(line))


def manifest_path(folder: Any, part: Part) -> Any:
    """Returns the path of a part's manifest."""
    return folder / f"manifest-{PREFIX}{part.name}.jsonl"


def mark_done(folder: Any, part: Part, failed: int) -> None:
    """Records that every image of a part was dealt with, and how many failed."""
    write_file(folder / FOLDER / f"{part.name}.done", json.dumps([part.images, part.digest, failed]) + "\n")
    (folder / FOLDER / f"{part.name}.aside").unlink(missing_ok=True)


def failed_of_done(folder: Any, part: Part) -> int | None:
    """Returns how many images of a part failed if these very images were dealt with, else None."""
    path = folder / FOLDER / f"{part.name}.done"
    if not path.is_file():
        return None
    images, digest, failed = json.loads(path.read_text(encoding="ascii"))
    return failed if (images, digest) == (part.images, part.digest) else None


def set_aside(folder: Any, part: Part, reason: str) -> None:
    """Records that a part was given up, and why; the next run of the same command tries it again."""
    write_file(
        folder / FOLDER / f"{part.name}.aside", json.dumps({"images": part.images, "reason": reason}) + "\n"
    )


def remove_unnamed(folder: Any, shards: str) -> int:
    """Removes the shards of attempts that ended before their part's manifest; returns how many there were.

    Args:
        folder: The run's.
        shards: The name of the folder of shards in it.
    """
    named = {
        line.fields["shard"]
        for manifest in (folder).glob(f"manifest-{PREFIX}*.jsonl")
        for line in read_lines(manifest)
        if line.fields["status"] == OK
    }
    unnamed = [path for path in (folder / shards).glob(f"*{PREFIX}*") if _stem(path.name) not in named]
    for path in unnamed:
        path.unlink(missing_ok=True)
    return len(unnamed)


def _stem(name: str) -> str:
    return name.lstrip(".").partition(".")[0]


def _write_lists(folder: Any, waiting: dict[int, list[str]], written: int) -> None:
    for number, lines in waiting.items():
        write_file(folder / f"{number:05d}.{written:03d}.jsonl", "".join(lines))

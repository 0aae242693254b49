"""What is wrong with data, collected while it is read, so that everything is said at once, with its place."""

import concurrent.futures
import contextlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.reporting import Progress, Say, silent
from gradcam_jax.formats.whole_file import write_whole
from gradcam_jax.images.photos import read_photo

_LISTED = 1000  # lines: past them a terminal shows nothing but lines
_SHOWN_LEFT_OUT = 20
_SMALLEST = 32  # pixels to which a photo is decoded at least: enough to read all its bytes
_AT_ONCE = 256  # photos between two reports

Content = Mapping[str, Any]


class OfPhoto(Protocol):
    """What is known of a photo: a file, unless ``load`` returns its pixels."""

    @property
    def path(self) -> Path:
        """The photo's file."""
        ...

    @property
    def load(self) -> Any:
        """Returns the pixels of a photo that is no file, else None."""
        ...


Item = TypeVar("Item", bound=OfPhoto)


class Faults:
    """Collects faults; :meth:`settle` raises an error that lists them all, or if they are skipped counts them.

    Args:
        skip: Whether what is at fault is left out.
        say: Takes each line of what was left out.

    Example:
        >>> faults = Faults()
        >>> faults.add("labels.csv line 3", "expected a class, got nothing")
        >>> faults.settle()
        Traceback (most recent call last):
        gradcam_jax.errors.InputError: The data has 1 fault (--skip_bad goes on without what is at fault):
          labels.csv line 3: expected a class, got nothing
    """

    def __init__(self, *, skip: bool = False, say: Say = silent):
        self.skip, self._say = skip, say
        self._lines: dict[str, bool] = {}  # line -> whether it was said

    def __len__(self) -> int:
        """Returns how many there are."""
        return len(self._lines)

    def add(self, place: str | Path, problem: str) -> None:
        """Takes in a fault; one at the same place is counted once."""
        self._lines.setdefault(f"{place}: {problem}", False)

    def settle(self) -> None:
        """Says what has been collected since it was last said.

        Raises:
            InputError: If there are faults and they are not skipped; all are listed.
        """
        new = [line for line, said in self._lines.items() if not said]
        if not new:
            return
        count = f"{len(new):,} fault{'s' * (len(new) > 1)}"
        if not self.skip:
            raise InputError(
                f"The data has {count} (--skip_bad goes on without what is at fault):{_listed(new, _LISTED)}"
            )
        self._say(f"{count} in the data, left out:{_listed(new, _SHOWN_LEFT_OUT)}")
        self._lines = dict.fromkeys(self._lines, True)


@contextlib.contextmanager
def collected(faults: Faults | None) -> Iterator[Faults]:
    """Yields the caller's faults, or some of its own that are settled at the end."""
    own = faults if faults is not None else Faults()
    yield own
    if faults is None:
        own.settle()


def keep_whole(
    items: Sequence[Item], faults: Faults, *, progress: Progress = silent, memory: Path | None = None
) -> list[Item]:
    """Returns those whose photo is there and whole; the others are faults.

    Every photo is decoded, JPEGs at an eighth of their size.

    Args:
        items: What is known of each photo.
        faults: Takes what is wrong.
        progress: Told how many were looked at.
        memory: A file that remembers which photos were whole, by size and time of change: they are not decoded
            again.
    """
    paths = list(dict.fromkeys(item.path for item in items if item.load is None))
    known = _read_memory(memory)
    stamps = {path: _stamp(path) for path in paths}
    unknown = [path for path in paths if known.get(str(path)) != stamps[path]]
    bad: set[Path] = set()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for start in range(0, len(unknown), _AT_ONCE):
            some = unknown[start : start + _AT_ONCE]
            for path, problem in zip(some, pool.map(_problem, some), strict=True):
                if problem:
                    faults.add(path, problem)
                    bad.add(path)
            progress("checking photos", min(start + _AT_ONCE, len(unknown)), len(unknown))
    if memory is not None and unknown:
        whole = {str(path): stamp for path, stamp in stamps.items() if path not in bad}
        write_whole(memory, json.dumps(known | whole))
    return [item for item in items if item.path not in bad]


def whole_number(value: Any) -> int | None:
    """Returns an id as a number, also one written as a text; None if it is neither.

    Example:
        >>> whole_number(25), whole_number("000025"), whole_number("a"), whole_number(True), whole_number(2.0)
        (25, 25, None, None, 2)
    """
    if isinstance(value, str):
        return int(value) if value.strip().isascii() and value.strip().isdigit() else None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        return None
    return int(value)


def records_of(content: Content, name: str, file: Path, faults: Faults, ids: Iterable[str]) -> Iterator[Any]:
    """Yields ``(place, record, numbers)`` of each record of a list in a JSON file whose ids are numbers.

    Args:
        content: The file's.
        name: The list: ``"annotations"``.
        file: The file, for the place.
        faults: Takes what is wrong: the record is then left out.
        ids: The ids that a record must have.
    """
    records = content[name]
    if not isinstance(records, list):
        faults.add(file, f"expected {name!r} to be a list, got {type(records).__name__}")
        return
    for index, record in enumerate(records):
        place = f"{file} {name}[{index}]"
        if not isinstance(record, dict):
            faults.add(place, f"expected an object, got {str(record)[:40]!r}")
            continue
        numbers = []
        for key in ids:
            number = whole_number(record.get(key))
            if number is None:
                got = f"{record[key]!r}"[:40] if key in record else "none"
                faults.add(place, f"expected a number {key!r}, got {got}")
                break
            numbers.append(number)
        else:
            yield place, record, numbers


def ids_of(content: Content, name: str) -> set[int | None]:
    """Returns the ids of a list's records, of those at fault too."""
    records = content[name] if isinstance(content[name], list) else ()
    return {whole_number(record.get("id")) for record in records if isinstance(record, dict)}


def is_number(value: Any) -> bool:
    """Tells whether a JSON value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _problem(path: Path) -> str:
    try:
        read_photo(path, at_least=_SMALLEST)
    except InputError as error:
        return str(error)
    return ""


def _stamp(path: Path) -> list[int]:
    try:
        status = os.stat(path)
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def _read_memory(memory: Path | None) -> dict[str, Any]:
    if memory is None or not memory.is_file():
        return {}
    try:
        content = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # what cannot be read is no memory: everything is looked at again
    return content if isinstance(content, dict) else {}


def _listed(lines: Sequence[str], count: int) -> str:
    shown = [*lines[:count], *([f"... {len(lines) - count:,} more"] if len(lines) > count else [])]
    return "".join(f"\n  {line}" for line in shown)

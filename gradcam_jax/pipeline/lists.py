"""Lists of photos as people write them: a path a line, JSON a line, or a table; a bad line is one bad line.

UTF-8 or UTF-16, with or without a byte-order mark; names of columns in any case, with blanks around them; a
table's cells between commas, semicolons or tabs.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gradcam_jax.errors import InputError

LISTS = (".txt", ".jsonl", ".csv")
"""What a list's name ends in."""

PATHS = ("path", "file", "file_name", "image")
"""Names of the column that names the photo."""

Row = dict[str, Any]

_DELIMITERS = ",;\t"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_rows(path: Path) -> Iterator[tuple[int, Row | str]]:
    """Streams a list: each line's number, from 1, with its columns by their names, or what is wrong with it.

    Raises:
        InputError: If a table has no column that names photos.
    """
    read = {".txt": _text_rows, ".jsonl": _json_rows, ".csv": _table_rows}[path.suffix.lower()]
    return read(path)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        encoding = "utf-16" if file.read(2) in _UTF16 else "utf-8-sig"
    # A name need not be text in any encoding: its bytes are kept.
    errors = "surrogateescape" if encoding == "utf-8-sig" else "replace"
    with path.open(encoding=encoding, errors=errors, newline=None) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number, line.rstrip("\n")


def _text_rows(path: Path) -> Iterator[tuple[int, Row | str]]:
    return ((number, {"path": line}) for number, line in _lines(path))


def _json_rows(path: Path) -> Iterator[tuple[int, Row | str]]:
    return ((number, _json_row(line)) for number, line in _lines(path))


def _json_row(line: str) -> Row | str:
    shown = repr(line.strip()[:60])
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"expected a JSON object, got {shown} ({error})"
    if not isinstance(row, dict):
        return f"expected a JSON object, got {shown}"
    return {name.strip().lower(): value for name, value in row.items()}


def _table_rows(path: Path) -> Iterator[tuple[int, Row | str]]:
    lines = _lines(path)
    _, first = next(lines, (0, ""))
    headers = {mark: [name.strip().lower() for name in _cells(first, mark) or []] for mark in _DELIMITERS}
    mark = next((mark for mark, names in headers.items() if set(PATHS) & set(names)), "")
    if not mark:
        got = ", ".join(filter(None, headers[","])) or "nothing"
        raise InputError(f"Expected a column {', '.join(PATHS[:-1])} or {PATHS[-1]} in {str(path)!r}, got {got}.")
    for number, line in lines:
        yield number, _table_row(line, headers[mark], mark)


def _table_row(line: str, names: list[str], mark: str) -> Row | str:
    cells = _cells(line, mark)
    if cells is None:
        return f"a quotation mark is not closed in {line[:60]!r}"
    if any(cell.strip() for cell in cells[len(names) :]):
        expected = f"{len(names)} cells ({', '.join(names)})"
        return f"expected {expected}, got {len(cells)}: a cell with {mark!r} in it needs quotation marks"
    return {name: cell.strip() for name, cell in zip(names, cells, strict=False)}


def _cells(line: str, mark: str) -> list[str] | None:
    """Returns the cells of one line, or None if a quotation mark is not closed on it."""
    try:
        return next(csv.reader([line], delimiter=mark, strict=True, skipinitialspace=True))
    except csv.Error:
        return None

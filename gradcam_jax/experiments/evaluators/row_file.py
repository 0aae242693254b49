"""A file of what was measured, a JSON line a case, that goes on after a kill."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gradcam_jax.errors import InputError
from gradcam_jax.formats.whole_file import write_whole
from gradcam_jax.pipeline.manifest import append_lines

_SETTINGS = "settings"


class RowFile:
    """Rows by their ids; those that an earlier run of the same settings wrote are there already.

    Attributes:
        path: The file.
        rows: Every row so far, by its id.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Reads the file, if there is one; a line that was cut off is dropped.

        Args:
            path: The file.
            settings: What the rows depend on, as plain JSON values.

        Raises:
            InputError: If it holds the rows of other settings, or is no file of rows.
        """
        self.path, self.rows = path, {}
        head = json.dumps({_SETTINGS: settings})
        lines = _whole_lines(path)
        if not lines:
            write_whole(path, head.encode() + b"\n")
            return
        if lines[0] != json.loads(head):
            other = lines[0].get(_SETTINGS, {}) if isinstance(lines[0], dict) else {}
            changed = [name for name, value in json.loads(head)[_SETTINGS].items() if other.get(name) != value]
            raise InputError(
                f"{str(path)!r} was measured with another {' and '.join(changed) or 'program'}. Name another "
                "--out_path, or remove it."
            )
        self.rows = {row["id"]: row for row in lines[1:]}

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Appends rows and waits until they are on the disk."""
        append_lines(self.path, rows)
        self.rows |= {row["id"]: row for row in rows}


def _whole_lines(path: Path) -> list[Any]:
    """Reads the lines of a file and cuts off what a kill left of the last one."""
    if not path.is_file():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        write_whole(path, whole)
    try:
        return [json.loads(line) for line in whole.splitlines()]
    except ValueError as error:
        raise InputError(f"{str(path)!r} is no file of rows: {error}. Remove it.") from error

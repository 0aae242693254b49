"""How long a run took: a JSON line for each time that its command was started, ``times.jsonl`` in its folder."""

import dataclasses
import datetime
import json
from pathlib import Path
from typing import Any

from gradcam_jax.formats.whole_file import append_line
from gradcam_jax.pipeline.progress import Progress

TIMES = "times.jsonl"


def append_times(folder: Path, progress: Progress, **more: Any) -> None:
    """Adds what one start of a run's command did; nothing is added of one that had nothing to do.

    Args:
        folder: The run's.
        progress: At its end.
        **more: What else is known, as plain JSON values.
    """
    if progress.explained + progress.failed:
        ended = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        append_line(folder / TIMES, json.dumps({"ended": ended, **more, **dataclasses.asdict(progress)}))


def read_times(folder: Path) -> list[dict[str, Any]]:
    """Returns what :func:`append_times` added, in order; lines that a crash cut short are left out."""
    lines = []
    if (folder / TIMES).is_file():
        for line in (folder / TIMES).read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                continue
    return lines

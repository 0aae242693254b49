"""Writes a run's report: pictures first, then the data of its pages, their summary last.

A page that is opened from disk may load scripts, but fetch nothing: so its data are scripts, ``data/*.js``, in
chunks. Of 100,000 photos the gallery reads twenty, and a photo's page one more. Everything shown is set as text by
the page, never as HTML.
"""

import functools
import importlib.resources
import json
import math
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from gradcam_jax.errors import InputError
from gradcam_jax.formats.whole_file import write_whole
from gradcam_jax.images.preprocessing import find_preprocessing
from gradcam_jax.pipeline.ahead import in_order
from gradcam_jax.pipeline.machine import usable_cores
from gradcam_jax.pipeline.manifest import OK
from gradcam_jax.pipeline.reader import Record, Run
from gradcam_jax.pipeline.times import read_times
from gradcam_jax.report.rows import NO_PICTURE, index_row, reason_of, shown_record
from gradcam_jax.report.thumbnails import Drawn, Source, draw_record

FOLDER = "report"
"""Where a run's report goes, in the run's folder."""

PAGE = ("index.html", "report.css", "report.js")

_MOST_FILES = 1_000  # named under one reason; the gallery finds the others
_MOST_CLASSES = 20


class ChunkSizes(NamedTuple):
    """Photos a file of the pages' data: of ``index``, to search all; of ``records``, to show one."""

    index: int = 5_000
    records: int = 200


DEFAULT_CHUNKS = ChunkSizes()


class Written(NamedTuple):
    """A report that was written.

    Attributes:
        page: Its first page.
        photos: How many it shows.
        failed: How many of them the run could not explain.
        without_picture: How many were explained, but could not be read again to be shown.
    """

    page: Path
    photos: int
    failed: int
    without_picture: int


def write_report(
    run: Run,
    folder: str | Path | None = None,
    *,
    photos: str | Path | None = None,
    title: str = "",
    chunks: ChunkSizes = DEFAULT_CHUNKS,
    report: Callable[[int], None] = lambda _: None,
) -> Written:
    """Writes or completes the report of a run; pictures that are there are left as they are.

    Args:
        run: As :func:`gradcam_jax.pipeline.open_run` returns it, finished or not.
        folder: Where it goes; ``report`` in the run's folder if left out.
        photos: A folder where the photos lie now, by their ids, if not where the run found them.
        title: The page's; the run's folder if left out.
        chunks: How the pages' data are cut.
        report: Called with the number of photos done.

    Returns:
        What was written; its ``page`` is to be opened in a browser.

    Raises:
        InputError: If it cannot be written.
    """
    folder = Path(folder if folder is not None else run.folder / FOLDER)
    source = Source(Path(photos) if photos is not None else None, *_fed(run.settings))
    counts = _Counts()
    try:
        index = _Chunks(folder, "index", chunks.index)
        records = _Chunks(folder, "records", chunks.records)
        with ThreadPoolExecutor(usable_cores()) as threads:
            draw = functools.partial(_draw, folder=folder, source=source)
            for record, drawn in in_order(threads, draw, run.records()):
                row = index_row(record, drawn)
                counts.add(record.fields, row)
                index.add(row)
                records.add(shown_record(record, drawn))
                report(counts.photos)
        index.finish()
        records.finish()
        page = importlib.resources.files("gradcam_jax.report") / "page"
        for name in PAGE:
            write_whole(folder / name, (page / name).read_bytes())
        summary = {
            "title": title or run.folder.resolve().name,
            "settings": run.settings,
            "times": read_times(run.folder),
            "chunks": {"index": index.count, "records": chunks.records},
            **counts.summary(),
        }
        _write_script(folder / "data" / "summary.js", "summary", [summary])
    except OSError as error:
        raise InputError(f"Cannot write the report to {str(folder)!r}: {error}.") from error
    return Written(folder / PAGE[0], counts.photos, counts.failed, counts.without_picture)


class _Counts:
    def __init__(self) -> None:
        self.photos = self.failed = self.without_picture = self.blank = 0
        self._reasons: dict[str, list[str]] = {}
        self._numbers: Counter[str] = Counter()
        self._predictions: Counter[str] = Counter()

    def add(self, fields: dict[str, Any], row: list[Any]) -> None:
        self.photos += 1
        self.without_picture += bool(row[2] & NO_PICTURE)
        self.blank += any(target["all_negative"] for target in fields["targets"] or [])
        if fields["status"] == OK:
            self._predictions[fields["prediction"] or ""] += 1
            return
        self.failed += 1
        reason = reason_of(fields)
        self._numbers[reason] += 1
        files = self._reasons.setdefault(reason, [])
        if len(files) < _MOST_FILES:
            files.append(fields["id"])

    def summary(self) -> dict[str, Any]:
        reasons = [
            {"reason": reason, "count": count, "files": self._reasons[reason]}
            for reason, count in self._numbers.most_common()
        ]
        counts = {"photos": self.photos, "failed": self.failed, "blank": self.blank}
        return {
            **counts,
            "without_picture": self.without_picture,
            "reasons": reasons,
            "predictions": self._predictions.most_common(_MOST_CLASSES),
            "classes": len(self._predictions),
        }


class _Chunks:
    """Rows as scripts ``data/NAME-00000.js`` of so many each."""

    def __init__(self, folder: Path, name: str, size: int):
        self._folder, self._name, self._size = folder, name, size
        self._rows: list[Any] = []
        self.count = 0

    def add(self, row: Any) -> None:
        self._rows.append(row)
        if len(self._rows) == self._size:
            self.finish()

    def finish(self) -> None:
        if self._rows:
            path = self._folder / "data" / f"{self._name}-{self.count:05d}.js"
            _write_script(path, self._name, [self.count, self._rows])
            self.count += 1
            self._rows = []


def _write_script(path: Path, function: str, arguments: list[Any]) -> None:
    """Writes a call of one of the page's functions; ASCII, so that no encoding can be mistaken."""
    write_whole(path, f"report.{function}({', '.join(json.dumps(_finite(value)) for value in arguments)});\n")


def _finite(value: Any) -> Any:
    """Replaces numbers that JSON has not: infinities and NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def _draw(record: Record, *, folder: Path, source: Source) -> tuple[Record, Drawn]:
    if record.fields["status"] != OK:
        return record, Drawn(None)
    return record, draw_record(record, folder, source)


def _fed(settings: dict[str, Any]) -> tuple[Any, int]:
    """Returns the preprocessing and the image's side of a run; None where it is one that only its caller knows."""
    try:
        return find_preprocessing(settings.get("recipe", "")), int(settings.get("input_size", 0))
    except InputError:
        return None, 0

"""The survey's results as they come, what was left out and why, and how long each part took; CSV and Markdown."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.benchmark.table import COLUMNS, markdown, markdown_table, timing_row, write_csv
from gradcam_jax.experiments.benchmark.turns import Timing
from gradcam_jax.experiments.benchmark.work import WORK
from gradcam_jax.experiments.benchmark.worker import OWN

SURVEY_COLUMNS = ("part", *COLUMNS, "value", "unit")
"""Of the survey's table. ``work`` says what was measured; what is not a time of a call is a ``value``."""


@dataclasses.dataclass
class Report:
    """What a survey found so far; a part that fails leaves the others.

    Attributes:
        out_path: The CSV file, written anew after each part.
        about: What the run was.
        rows: Of :data:`SURVEY_COLUMNS`, without those of ``timings``.
        timings: Of explanations.
        peaks: Precision -> GFLOP/s of a matrix product.
        left_out: What was not measured, each with its reason.
        seconds: Part -> what it took.
    """

    out_path: str
    about: dict[str, str] = dataclasses.field(default_factory=dict)
    rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    timings: list[Timing] = dataclasses.field(default_factory=list)
    peaks: dict[str, float] = dataclasses.field(default_factory=dict)
    left_out: list[str] = dataclasses.field(default_factory=list)
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    _start: float = dataclasses.field(default_factory=time.perf_counter)

    def elapsed(self) -> float:
        """Returns the seconds since the survey began."""
        return time.perf_counter() - self._start

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Times a part; an :class:`~gradcam_jax.errors.InputError` in it is recorded, and the survey goes on."""
        start = self.elapsed()
        try:
            yield
        except InputError as error:
            self.left_out.append(f"{name}: {error}")
        self.seconds[name] = self.elapsed() - start
        self.write()

    def add(self, part: str, rows: Sequence[Mapping[str, Any]], **fields: Any) -> None:
        """Adds rows to a part, each with these fields too."""
        self.rows += [{"part": part, **fields, **row} for row in rows]

    def write(self) -> None:
        """Writes the CSV."""
        times = [{"part": "explanations"} | timing_row(timing, self.peaks) for timing in self.timings]
        seconds = "; ".join(f"{name} {value:.0f}" for name, value in self.seconds.items())
        about = self.about | {"seconds": f"{seconds}; all {self.elapsed():.0f}"}
        about |= {f"left out ({number})": text for number, text in enumerate(self.left_out, 1)}
        lines = {key: " ".join(text.split()) for key, text in about.items()}
        write_csv(self.out_path, lines, SURVEY_COLUMNS, [*self.rows, *times])

    def markdown(self) -> str:
        """Returns the tables: of every other part, of explanations by precision, of explanations beside peers."""
        tables = []
        for part in dict.fromkeys(row["part"] for row in self.rows):
            names = [name for name in SURVEY_COLUMNS[1:] if any(row.get(name) for row in self.rows_of(part))]
            head = [part if name == "work" else name.replace("_", " ") for name in names]
            tables.append(markdown_table(head, [[row.get(n, "") for n in names] for row in self.rows_of(part)]))
        own = [timing for timing in self.timings if timing.name == OWN]
        compared = {timing.task for timing in self.timings if timing.name != OWN}
        tables.append(self._by_precision(own))
        tables.append(markdown([timing for timing in self.timings if timing.task in compared], OWN))
        return "\n\n".join(table.strip() for table in tables if table.strip()) + "\n"

    def rows_of(self, part: str) -> list[dict[str, Any]]:
        """Returns a part's rows."""
        return [row for row in self.rows if row["part"] == part]

    def _by_precision(self, timings: Sequence[Timing]) -> str:
        if not timings:
            return ""
        precisions = list(dict.fromkeys(timing.task.precision for timing in timings))
        cells = {timing.task: self._cell(timing) for timing in timings}
        rows = []
        for task in dict.fromkeys(task._replace(precision="") for task in cells):
            each = [cells.get(task._replace(precision=precision), "") for precision in precisions]
            rows.append([task.model, WORK[task.work], task.batch_size, *each])
        head = [f"{name}: ms, photos/s, share of peak" for name in precisions]
        return markdown_table(["model", "explanation", "batch", *head], rows)

    def _cell(self, timing: Timing) -> str:
        row = timing_row(timing, self.peaks)
        share = row.get("share_of_peak", "")
        return f"{row['median_ms']}, {float(row['images_per_second']):,.0f}, {share}"

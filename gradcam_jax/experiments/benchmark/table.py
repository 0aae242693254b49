"""What was timed, as a CSV file that keeps everything and as Markdown tables for people."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gradcam_jax.experiments.benchmark.turns import Timing
from gradcam_jax.experiments.benchmark.work import WORK
from gradcam_jax.formats.whole_file import write_whole

COLUMNS = (
    "model", "work", "batch_size", "precision", "library", "median_ms", "quartile_1_ms", "quartile_3_ms", "runs",
    "images_per_second", "compile_seconds", "gflop", "gflop_per_second", "share_of_peak", "temporary_mb",
)  # fmt: skip
"""Of the table of explanations."""


def write_csv(
    path: str | Path, about: Mapping[str, str], columns: Sequence[str], rows: Iterable[Mapping[str, Any]]
) -> None:
    """Writes a table under comments of what the run was; cells of columns that a row lacks are empty."""
    text = io.StringIO()
    text.writelines(f"# {key}: {value}\n" for key, value in about.items())
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue())


def timing_row(timing: Timing, peaks: Mapping[str, float]) -> dict[str, Any]:
    """Returns a timing as a row of :data:`COLUMNS`; peaks are measured GFLOP/s of matrix products by precision."""
    gflop, peak = timing.facts.get("gflop"), peaks.get(timing.task.precision)
    rate = None if gflop is None else gflop / timing.median
    numbers = {
        "median_ms": (1e3 * timing.median, 2),
        "quartile_1_ms": (1e3 * timing.low, 2),
        "quartile_3_ms": (1e3 * timing.high, 2),
        "images_per_second": (timing.task.batch_size / timing.median, 2),
        "compile_seconds": (timing.facts.get("compile_seconds"), 1),
        "gflop": (gflop, 2),
        "gflop_per_second": (rate, 1),
        "share_of_peak": (None if rate is None or peak is None else rate / peak, 3),
        "temporary_mb": (timing.facts.get("temporary_mb"), 0),
    }
    cells = {name: f"{value:.{digits}f}" for name, (value, digits) in numbers.items() if value is not None}
    return {**timing.task._asdict(), "library": timing.name, "runs": timing.runs, **cells}


def markdown(timings: Sequence[Timing], own: str) -> str:
    """Returns a table for each model: milliseconds a call, and how many times ``own`` each peer takes."""
    parts = []
    for model in dict.fromkeys(timing.task.model for timing in timings):
        here = [timing for timing in timings if timing.task.model == model]
        names = list(dict.fromkeys([own, *(timing.name for timing in here)]))
        rows = []
        for task in dict.fromkeys(timing.task for timing in here):
            by_name = {timing.name: timing for timing in here if timing.task == task}
            cells = [_cell(by_name.get(name), by_name.get(own)) for name in names]
            rows.append([WORK[task.work], task.batch_size, task.precision, *cells])
        parts.append(markdown_table([model, "batch", "precision", *names], rows))
    return "\n\n".join(parts) + "\n"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Returns a table in Markdown.

    Example:
        >>> print(markdown_table(["a", "b"], [[1, 2]]))
        | a | b |
        | --- | --- |
        | 1 | 2 |
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _cell(timing: Timing | None, own: Timing | None) -> str:
    if timing is None:
        return ""
    milliseconds = f"{1e3 * timing.median:,.0f}" if timing.median >= 0.1 else f"{1e3 * timing.median:.1f}"
    if timing is own:
        return f"**{milliseconds}**"
    return milliseconds if own is None else f"{milliseconds} ({timing.median / own.median:.1f}x)"

"""What was timed, as a CSV file that keeps everything and as Markdown tables for people."""

import csv
import io
from collections.abc import Mapping, Sequence

from gradcam_jax.experiments.benchmark.turns import Timing
from gradcam_jax.experiments.benchmark.work import WORK

COLUMNS = (
    "model", "work", "batch_size", "library", "median_ms", "quartile_1_ms", "quartile_3_ms", "runs",
    "images_per_second", "compile_seconds", "gflop", "gflop_per_second", "share_of_peak", "temporary_mb",
)  # fmt: skip


def write_csv(timings: Sequence[Timing], about: Mapping[str, str], peak_gflops: float) -> str:
    """Returns the CSV: first what the run was, as comments, then one line a timing.

    Args:
        timings: What was timed.
        about: What the run was, such as device, versions, threads, command.
        peak_gflops: The measured rate of a matrix product.

    Returns:
        Text; empty cells where something is not known.
    """
    text = io.StringIO()
    for key, value in about.items():
        text.write(f"# {key}: {value}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for timing in timings:
        gflop, facts = timing.facts.get("gflop"), timing.facts
        rate = None if gflop is None else gflop / timing.median
        row = [
            *timing.task[:3],
            timing.name,
            *(f"{1e3 * value:.2f}" for value in (timing.median, timing.low, timing.high)),
            timing.runs,
            f"{timing.task.batch_size / timing.median:.2f}",
            _number(facts.get("compile_seconds"), 1),
            _number(gflop, 2),
            _number(rate, 1),
            _number(None if rate is None else rate / peak_gflops, 3),
            _number(facts.get("temporary_mb"), 0),
        ]
        writer.writerow(row)
    return text.getvalue()


def write_markdown(timings: Sequence[Timing], own: str) -> str:
    """Returns a table for each model: milliseconds a call, and how many times as long each peer takes.

    Args:
        timings: What was timed.
        own: The competitor that the others are compared with.
    """
    parts = []
    for model in dict.fromkeys(timing.task.model for timing in timings):
        here = [timing for timing in timings if timing.task.model == model]
        names = [own, *dict.fromkeys(timing.name for timing in here if timing.name != own)]
        lines = [
            f"| {model} | batch | {' | '.join(names)} |",
            f"| --- | --- | {' | '.join('---' for _ in names)} |",
        ]
        for task in dict.fromkeys(timing.task for timing in here):
            by_name = {timing.name: timing for timing in here if timing.task == task}
            cells = [_cell(by_name.get(name), by_name.get(own), bold=name == own) for name in names]
            lines.append(f"| {WORK[task.work]} | {task.batch_size} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _cell(timing: Timing | None, own: Timing | None, *, bold: bool) -> str:
    if timing is None:
        return ""
    milliseconds = f"{1e3 * timing.median:,.0f}" if timing.median >= 0.1 else f"{1e3 * timing.median:.1f}"
    if bold:
        return f"**{milliseconds}**"
    return milliseconds if own is None else f"{milliseconds} ({timing.median / own.median:.1f}x)"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"

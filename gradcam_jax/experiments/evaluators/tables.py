"""Tables of what was measured: a mean with its confidence interval for every method and measure."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gradcam_jax.evaluation.intervals import bootstrap_mean
from gradcam_jax.evaluation.pointing import rejection_hits, rejection_threshold
from gradcam_jax.formats.whole_file import write_whole
from gradcam_jax.pipeline.items import hash_of

LOCALISATION, REJECTION = "localisation", "pointing_rejection"
"""The measures of a photo's highest predictions."""

Row = Mapping[str, Any]


class Cell(NamedTuple):
    """One method by one measure.

    Attributes:
        low: Where the 95 % interval of the mean begins, photos being drawn; None if there is none.
        high: Where it ends.
        count: Cases.
    """

    method: str
    measure: str
    mean: float
    low: float | None
    high: float | None
    count: int


def table_of(rows: Sequence[Row], methods: Sequence[str]) -> list[Cell]:
    """Returns every cell that the rows tell of, measures in the order of the rows, methods in theirs."""
    rows = [row for row in rows if "error" not in row]
    objects = [row for row in rows if "values" in row]
    predictions = [row for row in rows if LOCALISATION in row]
    cells = []
    for measure in objects[0]["values"] if objects else ():
        for method in methods:
            values = [row["values"][measure][method] for row in objects]
            cells.append(_cell(method, measure, values, [row["photo"] for row in objects]))
    if predictions:
        photos = [row["photo"] for row in predictions]
        for top in ("top1", "top5"):
            values = [row["classification"][top] for row in predictions]
            cells.append(_cell("", f"classification_error_{top}", values, photos))
            for method in methods:
                values = [row[LOCALISATION][method][top] for row in predictions]
                cells.append(_cell(method, f"localisation_error_{top}", values, photos))
        for method in methods:
            hits = list(_rejection_hits(predictions, method))
            if hits:
                cells.append(_cell(method, REJECTION, [hit for hit, _ in hits], [photo for _, photo in hits]))
    return cells


def shown_table(cells: Sequence[Cell]) -> dict[str, dict[str, str]]:
    """Returns the cells as texts, by method and measure; what was not measured is empty.

    Example:
        >>> shown_table([Cell("cam", "energy", 0.51, 0.4, 0.62, 9), Cell("cam", "sanity", 0.1, None, None, 2)])
        {'cam': {'energy': '0.510 [0.400, 0.620]', 'sanity': '0.100'}}
    """
    table: dict[str, dict[str, str]] = {}
    columns = dict.fromkeys(cell.measure for cell in cells)
    for cell in cells:
        row = table.setdefault(cell.method or "(the model)", dict.fromkeys(columns, ""))
        interval = "" if cell.low is None else f" [{cell.low:.3f}, {cell.high:.3f}]"
        row[cell.measure] = f"{cell.mean:.3f}{interval}"
    return table


def save_table(path: Path, cells: Sequence[Cell]) -> None:
    """Writes the cells as CSV, a line each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Cell._fields)
    writer.writerows(["" if value is None else value for value in cell] for cell in cells)
    write_whole(path, text.getvalue())


def _cell(method: str, measure: str, values: Sequence[float], photos: Sequence[str]) -> Cell:
    interval = bootstrap_mean(values, photos)
    mean, low, high = (round(value, 6) for value in interval[:3])
    return Cell(method, measure, mean, low, high, interval.count)


def _rejection_hits(rows: Sequence[Row], method: str) -> Iterator[tuple[float, str]]:
    """Yields whether each map is a hit, and its photo; each half of the photos has the other half's threshold."""
    halves: list[list[tuple[str, list[Any]]]] = [[], []]
    for row in rows:
        halves[hash_of(row["photo"]) % 2] += [(row["photo"], one) for one in row[REJECTION][method]]
    if not all(halves):
        return
    for half, other in (halves, halves[::-1]):
        threshold = rejection_threshold(*_columns(other))
        hits = rejection_hits(*_columns(half), threshold)
        yield from zip(hits.astype(float).tolist(), [photo for photo, _ in half], strict=True)


def _columns(half: Sequence[tuple[str, list[Any]]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    maxima, inside, present = (np.array(column) for column in zip(*(one for _, one in half), strict=True))
    return maxima, inside.astype(bool), present.astype(bool)

"""Pictures of an evaluation: curves of deletion and insertion, and the cases with the best and the worst maps."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw

from gradcam_jax.experiments.evaluators.cases import BASELINES, Case
from gradcam_jax.experiments.evaluators.measures import CURVES, MEASURES
from gradcam_jax.pictures import Strip, overlay, panel, save, stacked
from gradcam_jax.pictures.charts import line_chart
from gradcam_jax.tasks.rows import percent

_SHOWN = 5  # best cases, and as many worst ones
_METHODS = 5  # maps side by side, at most

Draw = Callable[[Case], tuple[np.ndarray, Sequence[float], np.ndarray]]
"""Returns a case's photo, the part of it that is explained, and its maps."""


def save_pictures(
    folder: Path, rows: Sequence[dict[str, Any]], cases: Sequence[Case], methods: Sequence[str], draw: Draw
) -> list[Path]:
    """Writes ``curves.png`` and ``cases.png``, those that the rows tell of."""
    rows = [row for row in rows if row.get("values")]
    if not rows:
        return []
    paths = []
    curves = [name for name in CURVES if name in rows[0]["curves"]]
    if curves:
        paths.append(save(stacked([_chart(rows, name, methods) for name in curves]), folder / "curves.png"))
    by_id = {case.id: case for case in cases}
    rows = [row for row in rows if row["id"] in by_id]
    method = next((name for name in methods if name not in BASELINES), methods[0])
    measure = "energy" if "energy" in rows[0]["values"] else next(iter(rows[0]["values"]))
    sign = 1 if MEASURES[measure].better == "higher" else -1
    ordered = sorted(rows, key=lambda row: -sign * row["values"][measure][method])
    shown = [*ordered[:_SHOWN], *ordered[_SHOWN:][-_SHOWN:]]
    strips = [_strip(row, by_id[row["id"]], methods[:_METHODS], (measure, method), draw) for row in shown]
    heading = f"Best and worst by {MEASURES[measure].title} of {method}"
    return [*paths, save(panel(strips, heading=heading, height=180), folder / "cases.png")]


def _chart(rows: Sequence[dict[str, Any]], name: str, methods: Sequence[str]) -> np.ndarray:
    means = {method: np.mean([row["curves"][name][method] for row in rows], axis=0) for method in methods}
    lines = {method: (np.linspace(0, 1, len(mean)).tolist(), mean.tolist()) for method, mean in means.items()}
    change = {"deletion": "taken away", "insertion": "put in"}[name]
    return line_chart(
        lines, title=f"{name}: mean probability, {len(rows)} cases", x_label=f"share of the pixels {change}"
    )


def _strip(row: dict[str, Any], case: Case, methods: Sequence[str], by: tuple[str, str], draw: Draw) -> Strip:
    photo, view, heatmaps = draw(case)
    left, top, right, bottom = view
    tiles = [("photo", _with_boxes(photo, case))]
    for method, heatmap in zip(methods, heatmaps, strict=False):
        laid_on = overlay(photo, heatmap, (left, top, right, bottom))
        tiles.append((method, _with_boxes(laid_on, case)))
    measure, method = by
    value = row["values"][measure][method]
    return Strip(f"{case.word} ({row['photo']}): {value:.3f}, probability {percent(row['probability'])}", tiles)


def _with_boxes(picture: np.ndarray, case: Case) -> np.ndarray:
    image = PIL.Image.fromarray(picture)
    draw = PIL.ImageDraw.Draw(image)
    width = max(round(min(image.size) / 120), 1)
    for item in case.objects:
        left, top, right, bottom = item.box
        corners = (left * image.width, top * image.height, right * image.width - 1, bottom * image.height - 1)
        if corners[2] > corners[0] and corners[3] > corners[1]:
            draw.rectangle(corners, outline=(255, 255, 255), width=width)
    return np.asarray(image)

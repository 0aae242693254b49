"""Pictures of an evaluation: curves of deletion and insertion, and the best, middle and worst maps, by rank."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import PIL.ImageDraw

from gradcam_jax.evaluation.pointing import energy_inside, inside_boxes
from gradcam_jax.experiments.data.photos import Box
from gradcam_jax.experiments.evaluators.cases import BASELINES, Case
from gradcam_jax.experiments.evaluators.maps import enlarged
from gradcam_jax.experiments.evaluators.measures import CURVES, MEASURES
from gradcam_jax.pictures import Strip, overlay, panel, save, stacked
from gradcam_jax.pictures.charts import line_chart
from gradcam_jax.tasks.rows import percent

MAPS = "maps.jpg"
"""The picture of the best, middle and worst maps in an evaluation's folder."""

_SHOWN = 4  # best cases, and as many middle and worst ones
_GRID = 320, 320  # pixels that maps are enlarged to
_METHODS = 5  # maps side by side, at most


class BoxedMap(NamedTuple):
    """A map, and where it should lie.

    Attributes:
        text: What is explained.
        photo: The photo's name.
        image: The view of the photo, RGB in [0, 1].
        cam: Signed, ``(h, w)``.
        boxes: In fractions of the view.
    """

    text: str
    photo: str
    image: Callable[[], np.ndarray]
    cam: np.ndarray
    boxes: Sequence[Box]


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
    strips = [
        _strip(rank, ordered[rank], by_id[ordered[rank]["id"]], methods[:_METHODS], (measure, method), draw)
        for rank in _ranks(len(ordered))
    ]
    heading = f"Best, middle and worst of {len(ordered)} by {MEASURES[measure].title} of {method}"
    return [*paths, save(panel(strips, heading=heading, height=180), folder / "cases.png")]


def save_ranked_maps(maps: Sequence[BoxedMap], path: Path) -> list[dict[str, Any]]:
    """Draws the maps of which most, middling much and least lies in the boxes: by rank, not by choice.

    Of what is explained on a photo several times, in several captions, the first map counts.

    Returns:
        What is shown: ``rank``, ``text``, ``photo`` and ``share``, of what is positive of the map, in the boxes.
    """
    maps = list({(one.photo, one.text): one for one in reversed(maps)}.values())[::-1]
    shares = [energy_inside(enlarged(one.cam, _GRID), inside_boxes(one.boxes, _GRID)) for one in maps]
    ordered = np.argsort(-np.array(shares), kind="stable").tolist()
    rows, tiles = [], []
    for rank in _ranks(len(maps)):
        one, share = maps[ordered[rank]], shares[ordered[rank]]
        picture = overlay(np.round(one.image() * 255).astype(np.uint8), one.cam)
        tiles.append((f"{rank + 1}. {one.text}: {share:.2f}", _with_boxes(picture, one.boxes)))
        rows.append({"rank": rank + 1, "text": one.text, "photo": one.photo, "share": share})
    if not tiles:
        return []
    titles = ("best", "middle", "worst") if len(tiles) == 3 * _SHOWN else ("",)
    places = np.array_split(np.arange(len(tiles)), len(titles))
    strips = [Strip(title, [tiles[place] for place in row]) for title, row in zip(titles, places, strict=True)]
    heading = f"{len(maps)} maps by the share of what is positive that lies in the boxes"
    save(panel(strips, heading=heading, height=220), path)
    return rows


def _ranks(count: int) -> list[int]:
    """Returns the places of the best, the middle and the worst of so many.

    Example:
        >>> _ranks(101), _ranks(3)
        ([0, 1, 2, 3, 48, 49, 50, 51, 97, 98, 99, 100], [0, 1, 2])
    """
    middle = (count - _SHOWN) // 2
    starts = (0, middle, count - _SHOWN)
    return sorted({place for start in starts for place in range(start, start + _SHOWN) if 0 <= place < count})


def _chart(rows: Sequence[dict[str, Any]], name: str, methods: Sequence[str]) -> np.ndarray:
    means = {method: np.mean([row["curves"][name][method] for row in rows], axis=0) for method in methods}
    lines = {method: (np.linspace(0, 1, len(mean)).tolist(), mean.tolist()) for method, mean in means.items()}
    change = {"deletion": "taken away", "insertion": "put in"}[name]
    return line_chart(
        lines, title=f"{name}: mean probability, {len(rows)} cases", x_label=f"share of the pixels {change}"
    )


def _strip(
    rank: int, row: dict[str, Any], case: Case, methods: Sequence[str], by: tuple[str, str], draw: Draw
) -> Strip:
    photo, view, heatmaps = draw(case)
    left, top, right, bottom = view
    boxes = [item.box for item in case.objects]
    tiles = [("photo", _with_boxes(photo, boxes))]
    for method, heatmap in zip(methods, heatmaps, strict=False):
        laid_on = overlay(photo, heatmap, (left, top, right, bottom))
        tiles.append((method, _with_boxes(laid_on, boxes)))
    measure, method = by
    value = row["values"][measure][method]
    title = f"{rank + 1}. {case.word} ({row['photo']}): {value:.3f}, probability {percent(row['probability'])}"
    return Strip(title, tiles)


def _with_boxes(picture: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    image = PIL.Image.fromarray(picture)
    draw = PIL.ImageDraw.Draw(image)
    width = max(round(min(image.size) / 120), 1)
    for left, top, right, bottom in boxes:
        corners = (left * image.width, top * image.height, right * image.width - 1, bottom * image.height - 1)
        if corners[2] > corners[0] and corners[3] > corners[1]:
            draw.rectangle(corners, outline=(255, 255, 255), width=width)
    return np.asarray(image)

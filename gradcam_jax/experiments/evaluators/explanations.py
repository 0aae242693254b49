"""Measures explanations: each object's map by every method, where it lies and what it says of the model."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gradcam_jax.engine.prepared import prepared
from gradcam_jax.errors import InputError, lookup
from gradcam_jax.experiments.data.boxed import read_boxed
from gradcam_jax.experiments.data.photos import Photo, read_photos
from gradcam_jax.experiments.data.splits import photos_of, split_of_boxed
from gradcam_jax.experiments.evaluators.asking import Asking, asking
from gradcam_jax.experiments.evaluators.cascade import CASES, similarities
from gradcam_jax.experiments.evaluators.cases import Case, object_cases, prediction_cases, read_methods, spread
from gradcam_jax.experiments.evaluators.findings import Finding
from gradcam_jax.experiments.evaluators.measures import MEASURES
from gradcam_jax.experiments.evaluators.row_file import RowFile
from gradcam_jax.experiments.evaluators.runner import Runner
from gradcam_jax.experiments.evaluators.sheets import save_pictures
from gradcam_jax.experiments.evaluators.tables import (
    LOCALISATION,
    REJECTION,
    Cell,
    save_table,
    shown_table,
    table_of,
)
from gradcam_jax.experiments.reporting import Progress
from gradcam_jax.tasks.task import Setting
from gradcam_jax.zoo import Loaded
from gradcam_jax.zoo.loading import example_inputs

SANITY = "sanity"
METRICS = (*MEASURES, LOCALISATION, REJECTION, SANITY)
"""What ``--metrics`` takes."""

ROWS = "rows.jsonl"

ALL = "all"
"""The split of all photos, also of those that a model may have been trained on."""


class MapOptions(NamedTuple):
    """What is measured, on what, and how, as :class:`gradcam_jax.experiments.evaluators.program.Options` says."""

    data: str
    images: str
    split: str
    max_photos: int
    methods: tuple[str, ...]
    metrics: tuple[str, ...]
    steps: int
    setting: Setting


def evaluate(loaded: Loaded, options: MapOptions, folder: Path, progress: Progress) -> Iterator[Finding]:
    """Yields the means of what is measured, with intervals; writes rows, a table, and pictures into the folder."""
    methods, metrics = read_methods(options.methods), options.metrics
    for name in metrics:
        lookup(dict.fromkeys(METRICS), name, "metric")
    if options.steps < 1:
        raise InputError(f"Expected --steps of at least 1, got {options.steps} instead.")
    asked = asking(loaded, options.setting)
    of_predictions = bool({LOCALISATION, REJECTION} & set(metrics))
    if of_predictions and asked.predicted is None:
        raise InputError(f"{LOCALISATION} and {REJECTION} are of classes: {loaded.name} has none.")
    photos = spread(_photos(loaded, options), options.max_photos)
    objects, predictions = object_cases(photos, asked), prediction_cases(photos, asked)
    if not objects:
        raise InputError(f"There is no object in {options.data!r} that {loaded.name} knows.")
    settings = {
        "model": loaded.name,
        "layer": asked.task.layer,
        "size": asked.task.size,
        "recipe": asked.plan.preprocessing.name,
        "methods": list(methods),
        "metrics": [name for name in metrics if name != SANITY],
        "steps": options.steps,
    }
    rows = RowFile(folder / ROWS, settings)
    shapes = example_inputs(loaded.entry, asked.task.size)[0], *_other_inputs(asked, objects[0])
    forward = prepared(asked.task.forward, *shapes, precision="float32")
    runner = Runner(asked, forward, methods, metrics, steps=options.steps)
    cases: list[Case] = []
    if runner.measures:
        cases += objects
        runner.run(objects, asked.plan, runner.objects, rows, progress)
    if of_predictions and asked.predicted is not None:
        cases += predictions
        measure = functools.partial(runner.predictions, _words(photos, asked))
        runner.run(predictions, asked.predicted, measure, rows, progress)
    found = [rows.rows[case.id] for case in cases]
    yield from settings.items()
    if cases:
        yield "photos", len({row["photo"] for row in found if "error" not in row})
        yield "objects", sum("values" in row for row in found)
        yield "failed", [row for row in found if "error" in row]
    cells = table_of(found, methods)
    if SANITY in metrics:
        compared = spread(objects, CASES)
        yield "sanity_objects", len(compared)
        modules, means = similarities(asked, methods, compared, shapes)
        yield "similarity", {method: dict(zip(modules, means[method], strict=True)) for method in methods}
        cells += [Cell(method, SANITY, means[method][-1], None, None, len(compared)) for method in methods]
    save_table(folder / "table.csv", cells)
    yield "measures", [cell._asdict() for cell in cells]
    yield "table", shown_table(cells)
    draw = functools.partial(runner.draw, asked.plan)
    yield "pictures", [path.name for path in save_pictures(folder, found, objects, methods, draw)]


def _photos(loaded: Loaded, options: MapOptions) -> list[Photo]:
    """Reads the photos: for models trained on such photos those kept out of training, unless a split is named."""
    task, split = loaded.entry.task, options.split
    if task == "vqa" and not split:
        return [photo for photo in photos_of(read_photos(options.data), "test") if photo.complete]
    photos = read_boxed(options.data, images=options.images, split="" if split == ALL else split)
    if task == "captioning" and not split:
        return [photo for photo in photos if split_of_boxed(photo.key) == "test"]
    return photos


def _other_inputs(asked: Asking, case: Case) -> tuple[Any, ...]:
    return tuple(np.asarray(case.arrays[name]) for name in asked.plan.inputs)


def _words(photos: Sequence[Photo], asked: Asking) -> dict[int, str]:
    words = dict.fromkeys(item.word for photo in photos for item in photo.objects)
    return {index: word for word in words for index in asked.classes(word)}

"""Runs cases through the model in batches of one shape, and says what is measured of each."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.evaluation.boxes import localisation_errors, map_box, on_photo
from gradcam_jax.evaluation.pointing import points_within
from gradcam_jax.experiments.batches import padded
from gradcam_jax.experiments.evaluators.asking import Asking
from gradcam_jax.experiments.evaluators.cases import BatchMaps, Case, heatmaps_of, pixels_of
from gradcam_jax.experiments.evaluators.measures import (
    CURVES,
    MEASURES,
    Faithfulness,
    Place,
    faithfulness,
    mask_of,
    place_on_photo,
)
from gradcam_jax.experiments.evaluators.row_file import RowFile
from gradcam_jax.experiments.evaluators.tables import LOCALISATION, REJECTION
from gradcam_jax.experiments.reporting import Progress
from gradcam_jax.interception.tapped import Tapped
from gradcam_jax.pipeline.items import hash_of
from gradcam_jax.tasks.task import Plan

_BATCH = 8

Rows = list[dict[str, Any]]


class Runner:
    """Measures cases and adds a row for each to a file.

    Attributes:
        measures: What is measured of an object's map, of :data:`MEASURES`.
    """

    def __init__(
        self, asked: Asking, forward: Tapped, methods: Sequence[str], metrics: Sequence[str], *, steps: int
    ) -> None:
        """Computes nothing yet.

        Args:
            asked: The task.
            forward: Its model, made ready for many calls.
            methods: Names of the methods.
            metrics: What is measured.
            steps: Of deletion and insertion.
        """
        self._asked, self._methods, self._forward = asked, tuple(methods), forward
        self.measures = tuple(name for name in metrics if name in MEASURES)
        asks = tuple(name for name in self.measures if MEASURES[name].of_place is None)
        self._ask = Faithfulness(asked.plan, asked.confidence, asks, steps)

    def run(
        self, cases: Sequence[Case], plan: Plan, measure: Callable[..., Rows], rows: RowFile, progress: Progress
    ) -> None:
        """Measures the cases that have no row yet; a photo that cannot be read gets a row that says why.

        Args:
            cases: The cases.
            plan: What is computed of them.
            measure: :meth:`objects` or :meth:`predictions`.
            rows: Where the rows go.
            progress: Called after each batch.
        """
        left = [case for case in cases if case.id not in rows.rows]
        for start in range(0, len(left), _BATCH):
            progress("cases", len(cases) - len(left) + start, len(cases))
            batch, failed = [], []
            for case in left[start : start + _BATCH]:
                try:
                    photo = pixels_of(case.photo)
                except InputError as error:
                    failed.append({"id": case.id, "photo": case.photo.key, "error": str(error)})
                    continue
                batch.append((case, photo, plan.preprocessing.resize(photo, self._asked.task.size)))
            rows.add([*(measure(batch, *self._explain(batch, plan)) if batch else []), *failed])
        progress("cases", len(cases), len(cases))

    def _explain(self, batch: Sequence[Any], plan: Plan) -> tuple[np.ndarray, dict[str, np.ndarray], BatchMaps]:
        """Returns a full batch's images, arrays and maps."""
        rows = padded(np.arange(len(batch)), _BATCH)
        images = np.stack([resized.image for *_, resized in batch])[rows]
        arrays = jax.tree.map(lambda *leaves: np.stack(leaves)[rows], *(dict(case.arrays) for case, *_ in batch))
        seeds = np.array([hash_of(case.id) % 2**32 for case, *_ in batch], np.uint32)[rows]
        maps = heatmaps_of(self._forward, images, arrays, seeds, plan=plan, methods=self._methods)
        return images, arrays, maps

    def objects(self, batch: Any, images: Any, arrays: Any, maps: BatchMaps) -> Rows:
        """Returns the rows of a batch of objects."""
        inputs = tuple(arrays[name] for name in self._ask.plan.inputs)
        target = jax.tree.map(lambda leaf: leaf[:, 0], maps.targets)
        asked = faithfulness(self._forward, images, inputs, target, maps.heatmaps[:, 0], ask=self._ask)
        asked, heatmaps, peaks = jax.device_get((asked, maps.heatmaps[:, 0], maps.peaks[:, 0]))
        rows = []
        for place, (case, photo, resized) in enumerate(batch):
            size, boxes = photo.shape[:2], [item.box for item in case.objects]
            mask = mask_of(case.objects, size)
            places = []
            for heatmap, (x, y) in zip(heatmaps[place], peaks[place].tolist(), strict=True):
                x, y, *_ = on_photo((x, y, x, y), resized.box, size)
                places.append(Place(place_on_photo(heatmap, resized.box, size), (x, y), mask, boxes))
            values = {}
            for name in self.measures:
                of_place = MEASURES[name].of_place
                values[name] = self._by_method(map(of_place, places) if of_place else asked[name][place])
            curves = {
                name: self._by_method(asked[f"curve_{name}"][place]) for name in CURVES if name in self.measures
            }
            row = {"id": case.id, "photo": case.photo.key, "target": case.word, "area": number(mask.mean())}
            row |= {"probability": number(asked["probability"][place]), "values": values, "curves": curves}
            rows.append(row)
        return rows

    def predictions(self, words: Mapping[int, str], batch: Any, images: Any, arrays: Any, maps: BatchMaps) -> Rows:
        """Returns the rows of a batch of photos' predictions; ``words`` names the classes that are annotated."""
        del images, arrays
        heatmaps, targets = jax.device_get((maps.heatmaps, maps.targets))
        rows = []
        for place, (case, photo, resized) in enumerate(batch):
            size, classes = photo.shape[:2], targets[place].tolist()
            masks = {
                word: mask_of([item for item in case.objects if item.word == word], size)
                for word in {item.word for item in case.objects}
            }
            wrong = [not any(index in truth.classes for truth in case.truths) for index in classes]
            row: dict[str, Any] = {"id": case.id, "photo": case.photo.key, "classes": classes}
            row["classification"] = {"top1": float(wrong[0]), "top5": float(all(wrong))}
            row[LOCALISATION], row[REJECTION] = {}, {}
            for column, method in enumerate(self._methods):
                maps_there = [place_on_photo(one[column], resized.box, size) for one in heatmaps[place]]
                errors = localisation_errors(classes, [map_box(heatmap) for heatmap in maps_there], case.truths)
                row[LOCALISATION][method] = dict(zip(("top1", "top5"), map(float, errors), strict=True))
                row[REJECTION][method] = [
                    [
                        number(heatmap.max()),
                        words[index] in masks and points_within(heatmap, masks[words[index]]),
                        words[index] in masks,
                    ]
                    for index, heatmap in zip(classes, maps_there, strict=True)
                    if index in words
                ]
            rows.append(row)
        return rows

    def draw(self, plan: Plan, case: Case) -> tuple[np.ndarray, Sequence[float], np.ndarray]:
        """Returns a case's photo, the part of it that is explained, and its maps ``(methods, H, W)``."""
        photo = pixels_of(case.photo)
        resized = plan.preprocessing.resize(photo, self._asked.task.size)
        _, _, maps = self._explain([(case, photo, resized)], plan)
        return photo, resized.box, np.asarray(maps.heatmaps[0, 0])

    def _by_method(self, values: Any) -> dict[str, Any]:
        return {method: number(value) for method, value in zip(self._methods, values, strict=True)}


def number(value: Any) -> Any:
    """Returns a number, or a list of them, as a row has it: rounded to six places."""
    return [number(one) for one in value] if np.ndim(value) else round(float(value), 6)

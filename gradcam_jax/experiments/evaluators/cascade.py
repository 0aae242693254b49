"""The sanity check of an evaluation: every method's maps while the model is randomised, output first."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from gradcam_jax.evaluation.sanity import cascading_randomisation, weighted_modules
from gradcam_jax.experiments.evaluators.asking import Asking, given
from gradcam_jax.experiments.evaluators.cases import Case, heatmaps_of, pixels_of
from gradcam_jax.experiments.evaluators.runner import number
from gradcam_jax.tasks.task import Task

STAGES, CASES = 8, 16
"""Of the cascade, the layers after the mapped one first, and objects whose maps are compared, at most."""


def similarities(
    asked: Asking, methods: tuple[str, ...], cases: Sequence[Case], shapes: tuple[Any, ...]
) -> tuple[tuple[str, ...], dict[str, list[float]]]:
    """Compares the maps of some cases while the model is randomised.

    Args:
        asked: The task.
        methods: Names of the methods.
        cases: Objects, at most :data:`CASES`: all of them are in memory.
        shapes: One example of the model's inputs, or its shapes.

    Returns:
        The module with which each stage ends, and by method the mean rank correlation at each stage.
    """
    plan, task = given(asked.plan), asked.task
    images = np.stack([plan.preprocessing.resize(pixels_of(case.photo), task.size).image for case in cases])
    arrays = jax.tree.map(lambda *leaves: np.stack(leaves), *(dict(case.arrays) for case in cases))
    seeds = np.arange(len(cases), dtype=np.uint32)
    trained = heatmaps_of(task.forward, images, arrays, seeds, plan=asked.plan, methods=methods)
    arrays = arrays | {"targets": trained.targets}

    def maps_of(forward: Any) -> jax.Array:
        maps = heatmaps_of(forward, images, arrays, seeds, plan=plan, methods=methods).heatmaps
        return maps[:, 0].reshape((-1, *maps.shape[3:]))

    cascade = cascading_randomisation(
        task.forward, maps_of, jax.random.key(0), *shapes, stages=_stages(task, shapes)
    )
    means = cascade.similarity.reshape(len(cascade.modules), len(cases), len(methods)).mean(axis=1)
    return cascade.modules, {method: number(means[:, place]) for place, method in enumerate(methods)}


def _stages(task: Task, shapes: tuple[Any, ...]) -> list[int]:
    """Returns the number of modules of each stage: the head, which maps look through, and the rest in parts."""
    modules, head = (len(weighted_modules(task.forward, *shapes, after=after)) for after in ("", task.layer))
    rest = np.array_split(np.arange(modules - head), min(STAGES - bool(head), max(modules - head, 1)))
    return [size for size in (head, *map(len, rest)) if size]

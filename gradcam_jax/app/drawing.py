"""Draws a run's pictures: of a photo as it is explained, and later of those that the run explained before."""

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from gradcam_jax.app.options import Options
from gradcam_jax.errors import InputError
from gradcam_jax.images import read_photo
from gradcam_jax.images.decoder import Decoded
from gradcam_jax.pictures import KINDS, Style, View, run_picture_paths, save_run_pictures
from gradcam_jax.pipeline.ahead import in_order
from gradcam_jax.pipeline.items import Item
from gradcam_jax.pipeline.manifest import OK
from gradcam_jax.pipeline.reader import Record, Run
from gradcam_jax.tasks.rows import Description
from gradcam_jax.tasks.task import Task

Looks = tuple[str, Style]
"""The line under a map, and the pictures' style."""


def kinds_of(options: Options) -> tuple[str, ...]:
    """Returns which pictures of a photo are wanted, of :data:`gradcam_jax.pictures.KINDS`."""
    return KINDS if options.save == "all" else tuple(kind for kind in KINDS if kind == options.save)


def draw_explained(
    folder: Path, kinds: tuple[str, ...], looks: Looks, item: Item, decoded: Decoded, description: Description
) -> None:
    """Draws the pictures of a photo that was just explained."""
    if decoded.photo is None:
        raise ValueError("expected a photo that was kept to be drawn on")
    view = View(decoded.photo, decoded.box, None, *looks)
    save_run_pictures(folder, item.id, description, view, kinds=kinds)


def draw_missing(
    task: Task,
    run: Run,
    items: Iterator[Item],
    kinds: tuple[str, ...],
    *,
    looks: Looks,
    workers: int,
    report: Callable[[], None] = lambda: None,
) -> tuple[int, list[str]]:
    """Draws the pictures that are not there, from what the run stored.

    Args:
        task: The run's.
        run: Read back.
        items: The images to be drawn, as the run named them.
        kinds: Of :data:`gradcam_jax.pictures.KINDS`.
        looks: The line under a map, and the pictures' style.
        workers: Threads.
        report: Called for each image.

    Returns:
        How many images were drawn, and why others could not be.
    """
    draw = functools.partial(_draw_missing, task, run, kinds=kinds, looks=looks)
    drawn, problems = 0, []
    with ThreadPoolExecutor(workers) as threads:
        for written, problem in in_order(threads, draw, items):
            drawn += written
            problems += [problem] if problem else []
            report()
    return drawn, problems


def _draw_missing(task: Task, run: Run, item: Item, *, kinds: tuple[str, ...], looks: Looks) -> tuple[bool, str]:
    if item.id not in run:
        return False, ""
    record = run[item.id]
    if record.fields["status"] != OK or _is_drawn(record, run.folder, kinds, looks[1].panels):
        return False, ""
    try:
        photo = read_photo(item.path) if item.pixels is None else np.asarray(item.pixels())
    except InputError as error:
        return False, str(error)
    box = task.plan.preprocessing.resize(photo, task.size).box
    description = task.describe(record.arrays, record.fields["request"])
    save_run_pictures(run.folder, item.id, description, View(photo, box, None, *looks), kinds=kinds)
    return True, ""


def _is_drawn(record: Record, folder: Path, kinds: tuple[str, ...], panels: str) -> bool:
    names = [target["name"] for target in record.fields["targets"]]
    overlays, panel = run_picture_paths(folder, record.fields["id"], names, kinds, panels=panels)
    return all(path.is_file() for path in [*overlays, *([panel] if panel else [])])

"""Measures a classifier's accuracy over labelled photos: a check that weights, recipe and labels fit together."""

import csv
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
import tqdm

from gradcam_jax.app import output
from gradcam_jax.app.classification import find_recipe
from gradcam_jax.errors import InputError
from gradcam_jax.images import preprocessing
from gradcam_jax.images.photos import read_photo
from gradcam_jax.zoo import classifiers as zoo

_BATCH = 16


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asked for; the names are the command line's.

    Attributes:
        data: A folder with ``imagenet_samples/labels.csv`` (columns ``file`` and ``class_index``, 0-based) and
            the photos in ``imagenet_samples/images``.
        model: A name in the zoo.
        recipe: A preprocessing recipe, or empty for the model's published evaluation.
        out_path: The folder for ``evaluation.json``.
    """

    data: str
    model: str = zoo.DEFAULT["classification"]
    recipe: str = ""
    out_path: str = "output"


def run(options: Options, say: Callable[[str], None] = lambda _: None) -> dict[str, float]:
    """Classifies every photo and returns the shares whose class is the first, and among the first five.

    Args:
        options: What the user asked for.
        say: Takes each line of the report.

    Returns:
        ``{"photos": n, "top_1": share, "top_5": share}``, also written to ``evaluation.json``.

    Raises:
        InputError: If the data or the weights are not here.
    """
    entry = zoo.find_entry(options.model)
    labelled = _labelled_photos(Path(options.data) / "imagenet_samples")
    folder = output.make_folder(options.out_path)
    recipe = find_recipe(options.recipe) if options.recipe else _published(entry)
    model, variables = entry.build(), zoo.load_variables(entry)
    classify = jax.jit(model.apply)
    ranks: list[int] = []
    with tqdm.tqdm(total=len(labelled), unit="photo") as progress:
        for images, classes in _batches(labelled, recipe):
            logits = np.asarray(classify(variables, preprocessing.to_network(images, recipe)))[: len(classes)]
            own = np.take_along_axis(logits, classes[:, None], axis=1)
            ranks += list((logits > own).sum(axis=1))
            progress.update(len(classes))
    measured = {
        "photos": float(len(ranks)),
        "top_1": float(np.mean(np.array(ranks) < 1)),
        "top_5": float(np.mean(np.array(ranks) < 5)),
    }
    say(
        f"{entry.name} ({recipe.name}) on {len(ranks)} photos: "
        f"top-1 {measured['top_1']:.1%}, top-5 {measured['top_5']:.1%}"
    )
    output.save_record(
        folder / "evaluation.json",
        {"task": "classification", "model": entry.name, "recipe": recipe.name, **measured},
    )
    return measured


def _published(entry: zoo.Entry) -> preprocessing.Preprocessing:
    """Returns how the checkpoint's published accuracy was measured: for EfficientNet-Lite, on a centre crop."""
    if entry.recipe == preprocessing.EFFICIENTNET_LITE:
        return preprocessing.EFFICIENTNET_LITE_CROP
    return entry.recipe


def _labelled_photos(folder: Path) -> list[tuple[Path, int]]:
    table = folder / "labels.csv"
    if not table.is_file():
        raise InputError(f"Expected labelled photos, but {str(table)!r} does not exist.")
    with table.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    if not rows or not {"file", "class_index"} <= set(rows[0]):
        raise InputError(f"Expected the columns file and class_index in {str(table)!r}.")
    return [(folder / "images" / row["file"], int(row["class_index"])) for row in rows]


def _batches(
    labelled: list[tuple[Path, int]], recipe: preprocessing.Preprocessing
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields images of one shape, the last batch filled up with zeros, and their classes."""
    for start in range(0, len(labelled), _BATCH):
        part = labelled[start : start + _BATCH]
        images = np.zeros((_BATCH, recipe.size, recipe.size, 3), np.float32)
        for index, (path, _) in enumerate(part):
            images[index] = recipe.resize(read_photo(path), recipe.size).image
        yield images, np.array([class_index for _, class_index in part])

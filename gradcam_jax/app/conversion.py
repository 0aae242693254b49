"""Makes a checkpoint of this project from other programs' files."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from gradcam_jax.conversion.rules import transformed_views, variable_shapes
from gradcam_jax.text.ilsvrc import imagenet_classes
from gradcam_jax.zoo.checkpoint import (
    Card,
    Progress,
    count_parameters,
    describe_source,
    unhashed_source,
    write_views,
)
from gradcam_jax.zoo.loading import build_model, example_inputs
from gradcam_jax.zoo.originals import File, arrays_of, originals_of, read_file
from gradcam_jax.zoo.places import default_path
from gradcam_jax.zoo.table import find


def run(
    name: str,
    paths: Sequence[str | Path],
    out: str | Path | None = None,
    *,
    say: Callable[[str], None] = lambda _: None,
    progress: Progress = lambda *_: None,
) -> Path:
    """Converts the files that a model is made from, in any order; their formats are recognised by content.

    The checkpoint goes to ``out``, or to where the zoo looks for it, and its path is returned. ``say`` takes each
    line of the report.

    Raises:
        InputError: If there is no such model, a file is missing, cannot be read, or is another model's;
            then nothing is written.
    """
    entry = find(name)
    originals = originals_of(entry)
    files = [read_file(path) for path in paths]
    for file in files:
        for line in description(file):
            say(line)
    arrays = arrays_of(entry, files)
    target = Path(out) if out is not None else default_path(entry)
    words = next((file.words for file in files if file.words), ())
    labels = next((file.answers for file in files if file.answers), ())
    if entry.task == "classification":
        labels = tuple(class_.name for class_ in imagenet_classes())
    with ThreadPoolExecutor() as pool:
        hashed_sources = pool.map(describe_source, paths)  # Hashing and writing take as long as each other.
        expected = variable_shapes(build_model(entry, labels, words), *example_inputs(entry))
        views = transformed_views(arrays, originals.rules, expected, ignore=originals.ignore)
        card = Card(
            model=name,
            recipe=entry.preprocessing.name,
            licence=entry.licence,
            parameters=count_parameters(expected),
            sources=tuple(map(unhashed_source, paths)),
            labels=labels,
            words=words,
        )
        write_views(target, views, card, hashed_sources=lambda: hashed_sources, progress=progress)
    say(f"{target}: {name}, {card.parameters:,} parameters, {target.stat().st_size / 1e6:,.1f} MB")
    return target


def description(file: File) -> list[str]:
    """Says what a file holds: its format, then each array's name and shape, then how many numbers in all."""
    if file.answers:
        return [f"{file.path}: vocabulary, {len(file.words):,} words, {len(file.answers):,} answers"]
    rows = [f"  {name:<40} {_shape(array)}" for name, array in file.arrays.items()]
    numbers = sum(array.size for array in file.arrays.values())
    words = f", {len(file.words):,} words" if file.words else ""
    return [f"{file.path}: {file.format}, {len(rows)} arrays, {numbers:,} numbers{words}", *rows]


def _shape(array: np.ndarray) -> str:
    return "x".join(map(str, array.shape)) or "a number"

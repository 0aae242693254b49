"""Makes a checkpoint of this project from other programs' files."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from gradcam_jax.conversion.rules import transformed_views, variable_shapes
from gradcam_jax.errors import InputError
from gradcam_jax.text.labels import Names
from gradcam_jax.zoo.checkpoint import (
    Card,
    Progress,
    count_parameters,
    describe_source,
    unhashed_source,
    write_views,
)
from gradcam_jax.zoo.class_names import class_names, published_names
from gradcam_jax.zoo.loading import build_model, example_inputs
from gradcam_jax.zoo.originals import File, arrays_of, originals_of, read_file
from gradcam_jax.zoo.places import CHECKPOINT_SUFFIX, default_path
from gradcam_jax.zoo.table import find


def run(
    name: str,
    paths: Sequence[str | Path],
    out: str | Path | None = None,
    *,
    labels: Names = "",
    say: Callable[[str], None] = lambda _: None,
    progress: Progress = lambda *_: None,
) -> Path:
    """Converts the files that a model is made from, in any order; their formats are recognised by content.

    Args:
        name: The model.
        paths: Its files.
        out: The checkpoint. None: where the zoo looks for it; of a classifier of other classes than the published
            ones, which would stand there in the published one's place, the file's name with ``.safetensors``.
        labels: Of a classifier the names of its classes, or a file of them. Empty: the published classes' if it
            has as many under the last layer's own name, else numbers.
        say: Takes each line of the report.
        progress: Takes the bytes written.

    Returns:
        The checkpoint's path.

    Raises:
        InputError: If there is no such model, a file is missing, cannot be read, or is another model's, or the
            number of labels is another than that of the classes; then nothing is written.
    """
    entry = find(name)
    originals = originals_of(entry)
    if labels and entry.task != "classification":
        raise InputError(f"Labels are for classifiers; {name} has the answers or words of its own files.")
    files = [read_file(path) for path in paths]
    for file in files:
        for line in description(file):
            say(line)
    found = arrays_of(entry, files)
    for note in found.notes:
        say(f"{paths[0]}: {note}")
    words = next((file.words for file in files if file.words), ())
    names = next((file.answers for file in files if file.answers), ())
    target = default_path(entry)
    if entry.task == "classification":
        names = class_names(found, files[0], labels, say)
        if names != published_names():
            target = _beside(files[0].path)
    target = Path(out) if out is not None else target
    with ThreadPoolExecutor() as pool:
        hashed_sources = pool.map(describe_source, paths)  # Hashing and writing take as long as each other.
        expected = variable_shapes(build_model(entry, names, words), *example_inputs(entry))
        views = transformed_views(found.arrays, found.rules, expected, ignore=originals.ignore)
        card = Card(
            model=name,
            recipe=entry.preprocessing.name,
            licence=entry.licence,
            parameters=count_parameters(expected),
            sources=tuple(map(unhashed_source, paths)),
            labels=names,
            words=words,
        )
        write_views(target, views, card, hashed_sources=lambda: hashed_sources, progress=progress)
    say(f"{target}: {name}, {card.parameters:,} parameters, {target.stat().st_size / 1e6:,.1f} MB")
    return target


def _beside(source: Path) -> Path:
    """Returns the checkpoint in the current folder that a file becomes; never the file itself."""
    target = Path.cwd() / f"{source.stem}{CHECKPOINT_SUFFIX}"
    same = target.exists() and source.exists() and target.samefile(source)
    return target.with_stem(f"{target.stem}_converted") if same else target


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

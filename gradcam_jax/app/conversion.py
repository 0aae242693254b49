"""Makes a checkpoint of this project from other programs' files."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gradcam_jax.conversion.originals import MODELS, File, arrays_of, read_file
from gradcam_jax.conversion.rules import transformed_views, variable_shapes
from gradcam_jax.downloads.sources import sources_of
from gradcam_jax.errors import InputError, nearest
from gradcam_jax.images.preprocessing import Preprocessing
from gradcam_jax.text.ilsvrc import imagenet_classes
from gradcam_jax.zoo import captioners, question_models
from gradcam_jax.zoo import classifiers as zoo
from gradcam_jax.zoo.checkpoint import (
    Card,
    Progress,
    count_parameters,
    describe_source,
    unhashed_source,
    write_views,
)


def run(
    name: str,
    paths: Sequence[str | Path],
    out: str | Path | None = None,
    *,
    say: Callable[[str], None] = lambda _: None,
    progress: Progress = lambda *_: None,
) -> Path:
    """Converts the files that a model is made from.

    Args:
        name: The model's name.
        paths: Its files, in any order; their formats are told by content.
        out: The checkpoint; unless given, where the zoo looks for it.
        say: Takes each line of the report.
        progress: Told how far the writing is.

    Returns:
        The checkpoint's path.

    Raises:
        InputError: If there is no such model, a file is missing, cannot be read, or is another model's;
            then nothing is written.
    """
    if name not in MODELS:
        near = nearest(name, MODELS) or list(MODELS)
        raise InputError(f"There is no model {name!r} to convert to. Nearest: {', '.join(near)}.")
    files = [read_file(path) for path in paths]
    for file in files:
        for line in description(file):
            say(line)
    arrays = arrays_of(name, files)
    target = Path(out) if out is not None else default_path(name)
    with ThreadPoolExecutor() as pool:
        hashed_sources = pool.map(describe_source, paths)  # Hashing and writing take as long as each other.
        model = _target(name, files)
        views = transformed_views(arrays, MODELS[name].rules(), model.expected, ignore=MODELS[name].ignore)
        card = Card(
            model=name,
            recipe=model.recipe.name,
            licence=model.licence,
            parameters=count_parameters(model.expected),
            sources=tuple(map(unhashed_source, paths)),
            labels=model.labels,
            words=model.words,
        )
        write_views(target, views, card, hashed_sources=lambda: hashed_sources, progress=progress)
    say(f"{target}: {name}, {card.parameters:,} parameters, {target.stat().st_size / 1e6:,.1f} MB")
    return target


class _Target(NamedTuple):
    """The model that is converted to: its variables' shapes and what its card says."""

    expected: dict[str, Any]
    recipe: Preprocessing
    licence: str
    labels: tuple[str, ...]
    words: tuple[str, ...]


def _target(name: str, files: Sequence[File]) -> _Target:
    """Returns a classifier of the zoo, or a VQA model or captioner with as many words as its files have."""
    if name in zoo.ZOO:
        classifier = zoo.find_entry(name)
        expected = zoo.expected_variables(classifier)
        return _Target(expected, classifier.recipe, classifier.licence, _class_names(), ())
    words = next((file.words for file in files if file.words), ())
    answers = next((file.answers for file in files if file.answers), ())
    terms = "; ".join(dict.fromkeys(source.terms for source in sources_of(name)))
    if name in question_models.QUESTION_MODELS:
        entry = question_models.QUESTION_MODELS[name]
        model, inputs = entry.build(len(words), len(answers)), question_models.example_inputs(entry)
    else:
        entry = captioners.CAPTIONERS[name]
        model, inputs = entry.build(len(words)), captioners.example_inputs(entry)
    return _Target(variable_shapes(model, *inputs), entry.recipe, terms, answers, words)


def default_path(name: str) -> Path:
    """Returns where the zoo looks first for a model's checkpoint."""
    return zoo.checkpoint_folders()[0] / f"{name}{zoo.CHECKPOINT_SUFFIX}"


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


def _class_names() -> tuple[str, ...]:
    return tuple(class_.name for class_ in imagenet_classes())

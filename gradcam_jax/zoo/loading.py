"""From a name, a checkpoint or an entry to a model: its inputs, its weights, its words and labels."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gradcam_jax.conversion.rules import convert, unchanged, variable_shapes
from gradcam_jax.errors import CheckpointError, InputError, lookup
from gradcam_jax.formats.recognise import READERS, recognise_format
from gradcam_jax.text.labels import Names, names_of_classes
from gradcam_jax.text.vocabulary import Vocabulary
from gradcam_jax.zoo.checkpoint import Card, card_of, read_checkpoint
from gradcam_jax.zoo.class_names import class_names, published_names
from gradcam_jax.zoo.entries import CAFFE, TORCH7, Entry
from gradcam_jax.zoo.loaded import Loaded, distinct, example_inputs
from gradcam_jax.zoo.naming import import_named, is_function_name
from gradcam_jax.zoo.originals import arrays_of, originals_of, read_file
from gradcam_jax.zoo.own import own_model
from gradcam_jax.zoo.places import get_command, package_path, weights_path
from gradcam_jax.zoo.table import DEFAULTS, MODELS, find

_CNN = "params/cnn/"
_STATISTICS = "statistics/"
_DECODER = "params/decoder/kernel"
_OTHER_PROGRAMS = {".caffemodel": CAFFE, ".t7": TORCH7, ".pth": "pytorch"}
_OTHER_TASK = {
    "classification": "is no classifier",
    "vqa": "answers no questions",
    "captioning": "is no captioner",
}

# Task -> field of the module -> the array that it is read off, and the axis.
_SIZES: Mapping[str, Mapping[str, tuple[str, int]]] = {
    "classification": {},
    "vqa": {
        "embedding": ("params/word_embedding/kernel", 1),
        "hidden": ("params/lstm_1/h2h/kernel", 0),
        "common": ("params/classifier/kernel", 0),
    },
    "captioning": {
        "embedding_size": ("params/word_embedding/embedding", 1),
        "hidden_size": ("params/lstm/h2h/kernel", 0),
    },
}


def load(
    model: str | os.PathLike[str] | Callable[..., Any] = "",
    *,
    task: str = "",
    checkpoint: str | os.PathLike[str] = "",
    labels: Names = "",
    **own: Any,
) -> Loaded:
    """Reads a model.

    Args:
        model: A name of :data:`MODELS`, a checkpoint of one, or a function that returns a model of one's own,
            itself or as ``"package.module:function"``. Empty: the task's default, that of classification without
            a task.
        task: The task that the model must be of; empty: any.
        checkpoint: Weights in place of the model's own, of a classifier: what
            ``scripts/convert_checkpoint.py`` takes, or those of one's own model.
        labels: Names of a classifier's classes in place of its own, by index, or a file of them.
        **own: Of one's own model: ``recipe``, ``layer`` and ``size``, as
            :func:`gradcam_jax.zoo.own.own_model` has them.

    Raises:
        InputError: If there is no such model, it is of another task, or its weights are not here; the message is
            the command that gets them.
        CheckpointError: If the weights do not fit the model.

    Example:
        >>> loaded = load("vqa_easy")
        >>> loaded.labels.entries[:3], loaded.entry.layer
        (('circle', 'green', 'red'), 'cnn/relu2_1')
    """
    if callable(model) or is_function_name(os.fspath(model)):
        if task not in ("", "classification"):
            raise InputError(f"A model of one's own is a classifier; {task} needs one of the zoo's.")
        function, name = (model, "") if callable(model) else (import_named(os.fspath(model)), os.fspath(model))
        return own_model(function, name=name, checkpoint=checkpoint, labels=labels, **own)
    if own:
        raise InputError(f"{', '.join(own)}: only of a model of one's own, and {os.fspath(model)!r} is the zoo's.")
    if checkpoint:
        return _with_checkpoint(os.fspath(model), task, checkpoint, labels)
    loaded = _load(os.fspath(model), task)
    if not labels:
        return loaded
    if loaded.entry.task != "classification":
        raise InputError(f"Labels are for classifiers; {loaded.name} has the answers or words of its checkpoint.")
    names = names_of_classes(labels, len(loaded.labels), loaded.source or loaded.name)
    return loaded._replace(labels=Vocabulary(distinct(names)), source=loaded.source or loaded.name)


def _load(name: str, task: str) -> Loaded:
    """Reads a model of the zoo, by its name or from a checkpoint of one."""
    name = name or lookup(DEFAULTS, task or "classification", "task")
    if name not in MODELS:
        path = _checkpoint(name, task)
        arrays, card = read_checkpoint(path)
        try:
            entry = find(card.model)
        except InputError as error:
            own = f"  --model {card.model} --checkpoint {name}" if is_function_name(card.model) else f" {error}"
            raise CheckpointError(f"{name!r} has a card that names no model of the zoo.{own}") from error
        if task and entry.task != task:
            raise CheckpointError(f"{name!r} holds {entry.name}, which {_other_task(task)}")
        return _from_checkpoint(entry, arrays, card)._replace(source=name)
    entry = MODELS[name]
    if task and entry.task != task:
        raise InputError(f"{name} {_other_task(task)}")
    path = weights_path(entry)
    if path is None:
        raise InputError(f"The weights of {name} are not here. Get them with:  {get_command(entry)}")
    if path == package_path(entry):
        return _from_package(entry, path)
    arrays, card = read_checkpoint(path)
    if card.model != name:
        raise CheckpointError(f"{str(path)!r} holds the weights of {card.model}, not of {name}.")
    return _from_checkpoint(entry, arrays, card)


def _with_checkpoint(name: str, task: str, checkpoint: str | os.PathLike[str], labels: Names) -> Loaded:
    """Reads a classifier of the zoo with the weights of a file that it can be converted from."""
    entry = find(name or DEFAULTS["classification"])
    if entry.task != "classification" or task not in ("", entry.task):
        raise InputError(f"Weights are read from another checkpoint for classifiers alone; {entry.name} is none.")
    file = read_file(checkpoint)
    found = arrays_of(entry, [file])
    notes = [f"{os.fspath(checkpoint)}: {note}" for note in found.notes]
    names = class_names(found, file, labels, notes.append)
    model = build_model(entry, names, ())
    expected = variable_shapes(model, *example_inputs(entry))
    variables = convert(found.arrays, found.rules, expected, ignore=originals_of(entry).ignore)
    texts, card, source = Vocabulary(distinct(names)), card_of(checkpoint), os.fspath(checkpoint)
    return Loaded(entry, model, variables, texts, Vocabulary(()), card, {}, source=source, notes=tuple(notes))


def with_cnn(head: Mapping[str, Any], cnn_name: str) -> dict[str, Any]:
    """Returns the variables of a head's parameters on a classifier of the zoo without its last layer."""
    cnn = load(cnn_name)
    features = variable_shapes(cnn.entry.build(classes=None), *example_inputs(cnn.entry))["params"]
    params = {name: leaf for name, leaf in cnn.variables["params"].items() if name in features}
    others = {name: {"cnn": leaves} for name, leaves in cnn.variables.items() if name != "params"}
    return {"params": {**head, "cnn": params}, **others}


def build_model(
    entry: Entry,
    labels: Sequence[str],
    words: Sequence[str],
    **sizes: int,
) -> Any:
    """Returns an entry's Linen module with outputs for these labels and rows for these words.

    A classifier without labels has as many classes as it is published with. The vectors are of the entry's lengths
    unless ``sizes`` has others, by the names of the module's fields.
    """
    counts = {
        "classification": {"classes": len(labels)} if labels else {},
        "vqa": {"words": len(words), "answers": len(labels)},
        "captioning": {"words": len(words)},
    }
    return entry.build(**counts[entry.task], **sizes)


def _sizes_of(entry: Entry, arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Returns the lengths of a model's vectors, by field of its module, read off its checkpoint's arrays.

    A head of other sizes than the entry's so needs no entry of its own.

    Raises:
        CheckpointError: If an array is missing.
    """
    sizes = {}
    for field, (key, axis) in _SIZES[entry.task].items():
        if key not in arrays or arrays[key].ndim <= axis:
            raise CheckpointError(f"Expected the weights of {entry.name}, but {key} is missing.")
        sizes[field] = arrays[key].shape[axis]
    if entry.task == "captioning" and _DECODER in arrays:
        sizes["evidence"] = max(len(arrays[_DECODER]) - sizes["hidden_size"], 0)
    return sizes


def random_variables(model: Any, *inputs: jax.ShapeDtypeStruct, seed: int = 0) -> Any:
    """Draws He-normal kernels and N(0, .05) biases, float32 numpy arrays, at which activations keep their scale.

    Scales and variances are 1. The inputs are the shapes that the module is called with.
    """
    generator = np.random.default_rng(seed)

    def draw(path: Any, leaf: Any) -> np.ndarray:
        if path[-1].key in ("scale", "var"):
            return np.ones(leaf.shape, np.float32)
        spread = np.sqrt(2 / np.prod(leaf.shape[:-1])) if len(leaf.shape) > 1 else 0.05
        return generator.standard_normal(leaf.shape, np.float32) * np.float32(spread)

    return jax.tree_util.tree_map_with_path(draw, variable_shapes(model, *inputs))


def _checkpoint(name: str, task: str) -> Path:
    """Returns the file of this name, unless it is another program's or there is none."""
    known = {key: entry for key, entry in MODELS.items() if task in ("", entry.task)}
    format = _OTHER_PROGRAMS.get(Path(name).suffix)
    if os.path.isfile(name):
        format = recognise_format(name)
        format = "" if format == "safetensors" else format
    commands = list(_conversions(name, format, known.values())) if format else []
    if commands:
        raise InputError(
            f"{name!r} is another program's file ({format}). Convert it once:  "
            f"python scripts/convert_checkpoint.py {'  or  '.join(commands)}"
        )
    if os.path.isdir(name) or format:
        raise InputError(
            f"{name!r} holds weights ({format or 'a folder'}) that do not tell which model they are of. Name it "
            f"too:  --model NAME --checkpoint {name}  (NAME: of the zoo, or package.module:function of your own)"
        )
    if not os.path.isfile(name):
        lookup(known, name, "model or file")
    return Path(name)


def _conversions(name: str, format: str, entries: Iterable[Entry]) -> Iterator[str]:
    """Yields the arguments that convert a file, for each model that is made from one of its format."""
    for entry in entries:
        files = entry.originals.files if entry.originals is not None else ()
        if any(format in formats for formats in files):
            arguments = [name if format in formats else formats[0].upper() for formats in files]
            yield f"--model {entry.name} {' '.join(arguments)}"


def _other_task(task: str) -> str:
    models = ", ".join(entry.name for entry in MODELS.values() if entry.task == task)
    return f"{lookup(_OTHER_TASK, task, 'task')}. Models for {task}: {models}."


def _from_package(entry: Entry, path: Path) -> Loaded:
    assert entry.originals is not None, f"{entry.name} has a package and no table for its file"
    model, rules, ignore = entry.build(), entry.originals.rules, entry.originals.ignore
    arrays, expected = READERS[recognise_format(path)](path), variable_shapes(model, *example_inputs(entry))
    variables = convert(arrays, rules, expected, ignore=ignore)
    return Loaded(entry, model, variables, _labels(entry, ()), Vocabulary(()), None, {})


def _from_checkpoint(entry: Entry, arrays: Mapping[str, np.ndarray], card: Card) -> Loaded:
    statistics = {key.removeprefix(_STATISTICS): arrays[key] for key in arrays if key.startswith(_STATISTICS)}
    arrays = {key: array for key, array in arrays.items() if not key.startswith(_STATISTICS)}
    model = build_model(entry, card.labels, card.words, **_sizes_of(entry, arrays))
    expected = variable_shapes(model, *example_inputs(entry))
    if entry.cnn is None or any(key.startswith(_CNN) for key in arrays):
        variables = convert(arrays, unchanged(expected), expected)
    else:
        head = {"params": {name: leaf for name, leaf in expected["params"].items() if name != "cnn"}}
        variables = with_cnn(convert(arrays, unchanged(head), head)["params"], entry.cnn)
    return Loaded(entry, model, variables, _labels(entry, card.labels), Vocabulary(card.words), card, statistics)


def _labels(entry: Entry, labels: Sequence[str]) -> Vocabulary:
    if entry.task == "classification" and not labels:
        labels = published_names()
    return Vocabulary(distinct(labels))

"""Flax models' checkpoints as their authors keep them: Orbax folders, msgpack, safetensors, in trees of any shape.

A training run's checkpoint is a tree with the variables somewhere in it: under ``params``, under ``state/params``,
or bare; beside them lies the optimiser's state, whose trees have the same names.
"""

import collections
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import flax.serialization
import flax.traverse_util
import jax
import numpy as np

from gradcam_jax.errors import CheckpointError, InputError
from gradcam_jax.formats.recognise import MSGPACK, READERS, recognise_format

Name = tuple[str, ...]

ORBAX = "orbax"

_ARRAYS_BY_NAME = ("safetensors", "npz", MSGPACK)
_ORBAX_MARKS = ("_METADATA", "manifest.ocdbt")
_ITEMS = ("default", "state", "params", "model")  # of a step's items, the first that is there
_OF_OPTIMISERS = frozenset(("opt_state", "optimizer", "optimiser", "mu", "nu", "trace", "grads"))
_VALUE = ("value", "raw_value")  # what NNX's variables keep their arrays under


class Fitted(NamedTuple):
    """What a checkpoint holds of a model.

    Attributes:
        arrays: Path such as ``"params/conv/kernel"`` -> array: the model's, and those beside them that it has not.
        notes: Where they were found and what was left aside, a line each.
    """

    arrays: dict[str, np.ndarray]
    notes: tuple[str, ...]


def read_flax_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads every array of a checkpoint: Orbax's folder (of a run, the last step), msgpack, safetensors or npz.

    Returns:
        Path in the tree, its keys joined by ``/``, -> numpy array.

    Raises:
        CheckpointError: If it is none of these, or is damaged.
    """
    if os.path.isdir(path):
        return _read_orbax(_orbax_item(Path(path)))
    if not os.path.exists(path):
        raise InputError(f"There is no checkpoint {os.fspath(path)!r}.")
    format = recognise_format(path)
    if format not in _ARRAYS_BY_NAME:
        raise CheckpointError(
            f"{os.fspath(path)}: expected a Flax model's checkpoint (an Orbax folder, msgpack, safetensors or "
            f"npz), got {format}."
        )
    return _read_msgpack(Path(path)) if format == MSGPACK else READERS[format](path)


def fit_tree(arrays: Mapping[str, np.ndarray], expected: Collection[str]) -> Fitted | None:
    """Finds a model's variables among a checkpoint's arrays, by their names.

    Args:
        arrays: The checkpoint's.
        expected: The variables' paths; the first key of each is its collection, ``params`` or ``batch_stats``.

    Returns:
        The variables, or None if the checkpoint has no name of the model's.

    Raises:
        CheckpointError: If it has the model several times, none of them under its collection's own name.

    Example:
        >>> one = np.ones(1)
        >>> arrays = {"step": one, "opt_state/0/mu/conv/kernel": one, "ema/conv/kernel": one}
        >>> fit_tree(arrays, ["params/conv/kernel"]).notes
        ("'params' is its 'ema'", 'of the checkpoint not needed: opt_state, step')
    """
    names = {_plain(name): name for name in arrays}
    taken: dict[str, np.ndarray] = {}
    used: set[Name] = set()
    notes = []
    by_collection: dict[str, set[Name]] = {}
    for path in expected:
        collection, *inner = path.split("/")
        by_collection.setdefault(collection, set()).add(tuple(inner))
    for collection, wanted in by_collection.items():
        root = _root(names, wanted, collection)
        if root is None:
            continue
        if root and root != (collection,):
            notes.append(f"{collection!r} is its {'/'.join(root)!r}")
        modules = {path[0] for path in wanted}
        own = root[-1:] == (collection,)
        for name, key in names.items():
            inner = name[len(root) :]
            if name[: len(root)] == root and inner and (own or inner[0] in modules) and name not in used:
                elsewhere = any(inner in paths for other, paths in by_collection.items() if other != collection)
                if inner in wanted or not elsewhere:
                    taken["/".join((collection, *inner))] = arrays[key]
                    used.add(name)
    others = sorted({name[0] for name in names if name not in used})
    if taken and others:
        shown = ", ".join(others[:8]) + (" ..." if len(others) > 8 else "")
        notes.append(f"of the checkpoint not needed: {shown}")
    return Fitted(taken, tuple(notes)) if taken else None


def _root(names: Mapping[Name, str], wanted: Collection[Name], collection: str) -> Name | None:
    """Returns where in a checkpoint's tree a collection lies: where most of its names are found."""
    votes = collections.Counter(
        name[:place] for name in names for place in range(len(name)) if name[place:] in wanted
    )
    votes = {root: count for root, count in votes.items() if not _OF_OPTIMISERS & set(root)}
    best = [root for root, count in votes.items() if count == max(votes.values())]
    named, bare = [root for root in best if root[-1:] == (collection,)], [root for root in best if not root]
    preferred = named or bare or best
    shortest = [root for root in preferred if len(root) == min(map(len, preferred))]
    if len(shortest) > 1:
        places = " and ".join("/".join(root) for root in shortest)
        raise CheckpointError(f"The checkpoint holds the model's {collection!r} {len(shortest)} times: {places}.")
    return shortest[0] if shortest else None


def _plain(name: str) -> Name:
    """Splits a name at ``/``, or at dots where it has none; NNX's ``value`` at the end is no part of it."""
    parts = tuple(name.split("/" if "/" in name else "."))
    return parts[:-1] if parts[-1] in _VALUE and len(parts) > 1 else parts


def _orbax_item(folder: Path) -> Path:
    """Returns the folder of one tree: the folder itself, or of a run's the last step's."""
    if _is_orbax(folder):
        return folder
    parts = [part for part in folder.iterdir() if part.is_dir()]
    items = {part.name: part for part in parts if _is_orbax(part)}
    named = next((items[name] for name in _ITEMS if name in items), None)
    if named is not None:
        return named
    steps = {int(number): part for part in parts if (number := part.name.rpartition("_")[2]).isdigit()}
    if steps:
        return _orbax_item(steps[max(steps)])
    if len(items) == 1:
        return next(iter(items.values()))
    choice = f"; name one of them: {', '.join(sorted(items))}" if items else ""
    raise CheckpointError(f"{folder}: expected the folder of a checkpoint that Orbax wrote{choice}.")


def _is_orbax(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in _ORBAX_MARKS)


def _read_orbax(folder: Path) -> dict[str, np.ndarray]:
    import orbax.checkpoint  # it takes a second
    from etils import epath

    handler, path = orbax.checkpoint.PyTreeCheckpointHandler(), epath.Path(folder.absolute())
    try:
        metadata: Any = handler.metadata(path)
        # As numpy arrays: the devices that they were saved from need not be here.
        as_numpy = jax.tree.map(lambda _: orbax.checkpoint.RestoreArgs(restore_type=np.ndarray), metadata.tree)
        restored = handler.restore(path, args=orbax.checkpoint.args.PyTreeRestore(restore_args=as_numpy))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder}: cannot be read by Orbax: {error}") from error
    return dict(_leaves(restored))


def _read_msgpack(path: Path) -> dict[str, np.ndarray]:
    try:
        tree = flax.serialization.msgpack_restore(path.read_bytes())
    except Exception as error:  # msgpack raises whatever the bytes lead to
        raise CheckpointError(f"{path}: is no whole msgpack file of Flax's: {error}") from error
    return dict(_leaves(tree))


def _leaves(tree: Any) -> Iterator[tuple[str, np.ndarray]]:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if isinstance(leaf, np.ndarray | np.generic | int | float):
            yield "/".join(str(getattr(key, "key", getattr(key, "idx", key))) for key in path), np.asarray(leaf)

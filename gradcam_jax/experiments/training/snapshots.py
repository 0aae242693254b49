"""A run's state on disk: written whole or not at all, read back bit for bit."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.serialization
import jax
import msgpack

from gradcam_jax.errors import CheckpointError, InputError
from gradcam_jax.formats.whole_file import write_whole

_STATE = "state.msgpack"
_SETTINGS = "settings.json"


def write_snapshot(folder: Path, state: Any, settings: Mapping[str, Any]) -> None:
    """Writes a state and the settings it belongs to; a crash in between leaves the last snapshot readable."""
    write_whole(folder / _SETTINGS, json.dumps(settings, indent=1, sort_keys=True))
    write_whole(folder / _STATE, flax.serialization.to_bytes(state))


def read_snapshot(folder: Path, initial: Any, settings: Mapping[str, Any]) -> Any:
    """Returns the state that a folder holds, or the initial one if it holds none.

    Args:
        folder: The run's folder.
        initial: A state of the same structure.
        settings: What the run depends on, as plain JSON values.

    Raises:
        InputError: If the folder holds a run of other settings; they are named.
        CheckpointError: If the snapshot is damaged or of another model.
    """
    path = folder / _STATE
    if not path.is_file():
        return initial
    before = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
    now = json.loads(json.dumps(settings))
    differing = [name for name in sorted(before | now) if before.get(name) != now.get(name)]
    if differing:
        shown = ", ".join(f"{name} ({before.get(name)}, now {now.get(name)})" for name in differing)
        raise InputError(f"{str(folder)!r} holds a run of other settings: {shown}. Choose another folder.")
    try:
        state = flax.serialization.from_bytes(initial, path.read_bytes())
    except (ValueError, KeyError, msgpack.UnpackException) as error:
        raise CheckpointError(f"The snapshot {str(path)!r} cannot be read: {error}") from error
    shapes, read_shapes = (jax.tree.map(lambda leaf: tuple(leaf.shape), tree) for tree in (initial, state))
    if shapes != read_shapes:
        raise CheckpointError(f"The snapshot {str(path)!r} is of a model of other sizes. Choose another folder.")
    return jax.tree.map(jax.numpy.asarray, state)

"""A run's state on disk: written whole or not at all, read back bit for bit."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.serialization
import jax
import msgpack

from gradcam_jax.errors import CheckpointError, InputError

_STATE = "state.msgpack"
_SETTINGS = "settings.json"


def write_snapshot(folder: Path, state: Any, settings: Mapping[str, Any]) -> None:
    """Writes a state and the settings it belongs to; a crash in between leaves the last snapshot readable."""
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / _SETTINGS, json.dumps(settings, indent=1, sort_keys=True).encode())
    _replace(folder / _STATE, flax.serialization.to_bytes(state))


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
    found = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
    wanted = json.loads(json.dumps(settings))
    differing = [name for name in sorted(found | wanted) if found.get(name) != wanted.get(name)]
    if differing:
        shown = ", ".join(f"{name} ({found.get(name)}, now {wanted.get(name)})" for name in differing)
        raise InputError(f"{str(folder)!r} holds a run of other settings: {shown}. Choose another folder.")
    try:
        state = flax.serialization.from_bytes(initial, path.read_bytes())
    except (ValueError, KeyError, msgpack.UnpackException) as error:
        raise CheckpointError(f"The snapshot {str(path)!r} cannot be read: {error}") from error
    shapes, read_shapes = (jax.tree.map(lambda leaf: tuple(leaf.shape), tree) for tree in (initial, state))
    if shapes != read_shapes:
        raise CheckpointError(f"The snapshot {str(path)!r} is of a model of other sizes. Choose another folder.")
    return jax.tree.map(jax.numpy.asarray, state)


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(path.suffix + ".part")
    temporary.write_bytes(content)
    os.replace(temporary, path)

"""The files of a run: where they go, what they may be called, and what made them."""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gradcam_jax import __version__
from gradcam_jax.errors import InputError


def make_folder(path: str | Path) -> Path:
    """Makes the output folder; one that cannot be made or written to is an InputError, before any work is done."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".gradcam_jax_can_write"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"Cannot write to the output folder {str(folder)!r}: {error.strerror}.") from error
    return folder


def save_arrays(path: Path, **arrays: Any) -> Path:
    """Writes arrays as a compressed ``.npz`` (float32 where floating) and returns its path."""
    np.savez_compressed(path, allow_pickle=False, **{name: np.asarray(array) for name, array in arrays.items()})
    return path


def save_record(path: Path, record: dict[str, Any]) -> Path:
    """Writes a record as readable JSON, the versions of what made it added, and returns its path."""
    text = json.dumps({**record, "versions": _versions()}, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("jax", "jaxlib", "flax", "numpy", "pillow")}
    return {
        "gradcam_jax": __version__,
        **packages,
        "python": platform.python_version(),
        "platform": jax.default_backend(),
    }

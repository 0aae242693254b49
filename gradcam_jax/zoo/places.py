"""Where a model's weights are on this machine, and the command that gets them: loading downloads nothing."""

import importlib.util
import os
from pathlib import Path

from gradcam_jax.zoo.entries import Entry

CHECKPOINTS_VARIABLE = "GRADCAM_JAX_CHECKPOINTS"
"""Environment variable: the folder that is searched for checkpoints first."""

CHECKPOINT_SUFFIX = ".safetensors"
"""What the name of one of this project's own checkpoints ends in."""


def weights_path(entry: Entry) -> Path | None:
    """Returns the file of a model's weights on this machine: its package's, else a checkpoint's; or None."""
    packaged = package_path(entry)
    candidates = [folder / f"{entry.name}{CHECKPOINT_SUFFIX}" for folder in checkpoint_folders()]
    return packaged or next((candidate for candidate in candidates if candidate.is_file()), None)


def package_path(entry: Entry) -> Path | None:
    """Returns the file of weights in a model's package, or None if it has none or that is not installed."""
    specification = importlib.util.find_spec(entry.package.module) if entry.package is not None else None
    if entry.package is None or specification is None or not specification.origin:
        return None
    path = Path(specification.origin).parent / entry.package.file
    return path if path.is_file() else None


def checkpoint_folders() -> list[Path]:
    """Returns the folders that are searched for checkpoints, the first match first."""
    named = os.environ.get(CHECKPOINTS_VARIABLE)
    package = Path(__file__).resolve().parents[1]
    return [*([Path(named)] if named else []), package.parent / "checkpoints", package / "checkpoints"]


def default_path(entry: Entry) -> Path:
    """Returns where the zoo looks first for a model's checkpoint."""
    return checkpoint_folders()[0] / f"{entry.name}{CHECKPOINT_SUFFIX}"


def get_command(entry: Entry) -> str:
    """Returns the one command that gets a model's weights: it installs, downloads or trains them."""
    if entry.package is not None:
        return entry.package.install
    return f"python scripts/download_checkpoints.py {entry.name}" if entry.sources else entry.trained_by

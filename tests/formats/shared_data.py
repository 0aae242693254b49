"""Finds real checkpoint files that are not part of the product; tests that need them skip without them."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def shared_file(name: str) -> Path:
    """A file under $GRADCAM_JAX_SHARED_DATA (by default ../shared/data of the repository), or a skip."""
    directory = Path(os.environ.get("GRADCAM_JAX_SHARED_DATA", ROOT.parent / "shared" / "data"))
    path = directory / name
    if not path.exists():
        pytest.skip(f"{name} is not there: set GRADCAM_JAX_SHARED_DATA to the folder that holds it")
    return path

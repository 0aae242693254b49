"""JSON files, checked for the keys that their reader needs."""

import json
from pathlib import Path
from typing import Any

from gradcam_jax.errors import InputError


def read_json(path: Path, *keys: str) -> dict[str, Any]:
    """Reads a JSON object that has the named keys.

    Args:
        path: The file.
        keys: Keys that the object must have.

    Raises:
        InputError: If the file cannot be read, is not JSON, or lacks a key.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"{str(path)!r} is not JSON: {error}.") from error
    missing = [key for key in keys if not isinstance(content, dict) or key not in content]
    if missing:
        raise InputError(f"{str(path)!r} is not the expected file: it has no {', '.join(map(repr, missing))}.")
    return content

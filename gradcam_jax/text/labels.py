"""The names of a classifier's classes, as a user lists them: a text file, a name a line, or JSON."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradcam_jax.errors import InputError

Names = str | os.PathLike[str] | Sequence[str]
"""A file of names, or the names."""


def read_labels(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Reads the names of classes, by index.

    Args:
        path: UTF-8 text, a name a line; or JSON: ``["cat", ...]``, ``{"0": "cat", ...}``, or as Keras has it
            ``{"0": ["n02123045", "tabby"], ...}``.

    Raises:
        InputError: If it cannot be read, or names nothing, or an index or a name is missing.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"The labels {str(path)!r} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"The labels {str(path)!r} are no UTF-8 text: {error}.") from error
    names = _json_names(path, text) if text.lstrip()[:1] in ("{", "[") else text.rstrip().splitlines()
    names = [name.strip() for name in names]
    if not any(names):
        raise InputError(f"Expected the labels {str(path)!r} to have a name a line, got nothing.")
    empty = [str(number) for number, name in enumerate(names, 1) if not name]
    if empty:
        raise InputError(
            f"Expected a name on each line of the labels {str(path)!r}; these are empty: {', '.join(empty[:10])}."
        )
    return tuple(names)


def names_of_classes(labels: Names, count: int, model: str) -> tuple[str, ...]:
    """Returns the names of a model's classes.

    Args:
        labels: A file of names, or the names; an empty text or sequence: none, they are numbered.
        count: How many classes the model has.
        model: What the model is called, for the message.

    Raises:
        InputError: If there are more names, or fewer, than classes.

    Example:
        >>> names_of_classes("", 3, "mine.pth")
        ('class 1', 'class 2', 'class 3')
        >>> names_of_classes(["cat", "dog"], 3, "mine.pth")
        Traceback (most recent call last):
        gradcam_jax.errors.InputError: Expected 3 labels, one for each class of mine.pth, got 2.
    """
    if not labels:
        return tuple(f"class {number}" for number in range(1, count + 1))
    is_file = isinstance(labels, str | os.PathLike)
    names = read_labels(labels) if is_file else tuple(labels)
    if len(names) != count:
        where = f" in {os.fspath(labels)!r}" if is_file else ""
        raise InputError(f"Expected {count} labels, one for each class of {model}, got {len(names)}{where}.")
    return names


def _json_names(path: Path, text: str) -> list[str]:
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"The labels {str(path)!r} are no JSON: {error}.") from error
    if isinstance(content, dict):
        missing = [str(index) for index in range(len(content)) if str(index) not in content]
        if missing:
            raise InputError(
                f"Expected the keys 0 to {len(content) - 1} in the labels {str(path)!r}, but {missing[0]} is not "
                "among them."
            )
        content = [content[str(index)] for index in range(len(content))]
    names = [name[-1] if isinstance(name, list) and name else name for name in content]
    texts = [name for name in names if isinstance(name, str)]
    if len(texts) < len(names):
        raise InputError(f"Expected names in the labels {str(path)!r}, got {json.dumps(names)[:80]}.")
    return texts

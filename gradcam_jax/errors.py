"""The errors a user can cause and mend, and the nearest valid choice that their messages name.

The command line prints these errors without a traceback.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")


class InputError(ValueError):
    """The input cannot be used: the message says what came, what was expected and the nearest choice."""


class CheckpointError(InputError):
    """A file of weights cannot be read: the message says which file, where in it, and what is wrong."""


class DownloadError(InputError):
    """A published file cannot be fetched or is not what was published: the message gives the way on."""


class LayerError(InputError):
    """A layer name is unknown, was not reached, or was reached more than once."""


def nearest(name: str, known: Iterable[str], count: int = 5) -> list[str]:
    """Returns the known names nearest to one that was mistyped, best first.

    Example:
        >>> nearest("Relu5-3", ["conv5_3", "relu5_3", "fc8"])
        ['relu5_3']
    """
    lowered = {candidate.lower(): candidate for candidate in known}
    return [lowered[match] for match in difflib.get_close_matches(name.lower(), lowered, count, 0.4)]


def lookup(table: Mapping[str, Value], name: str, kind: str) -> Value:
    """Returns what a table holds under a name.

    Args:
        table: Name -> value.
        name: What the user wrote.
        kind: What the table's names are called, for the message: ``"model"``.

    Raises:
        InputError: If there is no such name; the nearest are listed, or all where none is near.

    Example:
        >>> lookup({"vgg16": 16, "vgg19": 19}, "vgg16", "model")
        16
        >>> lookup({"vgg16": 16, "vgg19": 19}, "vgg17", "model")
        Traceback (most recent call last):
        gradcam_jax.errors.InputError: There is no model 'vgg17'. Nearest: vgg19, vgg16.
    """
    if name not in table:
        raise InputError(f"There is no {kind} {name!r}. Nearest: {', '.join(nearest(name, table) or table)}.")
    return table[name]

"""How long work tells what it does: lines for the reader, and how far it is."""

from collections.abc import Callable

Say = Callable[[str], None]
"""Takes a line of the report."""

Progress = Callable[[str, int, int], None]
"""Called while something long is done: its name, how much is done, and of how much."""


def silent(*_: object) -> None:
    """Tells nothing."""

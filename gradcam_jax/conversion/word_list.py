"""The word lists that come with the original's weights: tables from "1", "2", ... to words."""

from collections.abc import Mapping
from typing import Any

from gradcam_jax.errors import CheckpointError


def words_in_order(table: Any, name: str) -> tuple[str, ...]:
    """Returns the words of a table by their number.

    Args:
        table: ``{"1": first, "2": second, ...}``, in any order, as read from JSON or from a Torch7 file.
        name: What to call it in an error.

    Returns:
        The words; the one numbered n has index n - 1.

    Raises:
        CheckpointError: If it is not such a table, or a number is missing.

    Example:
        >>> words_in_order({"2": "cat", "1": "dog"}, "vocab")
        ('dog', 'cat')
    """
    if not isinstance(table, Mapping) or not table:
        raise CheckpointError(f"{name}: expected a table from numbers to words, got {type(table).__name__}")
    words = tuple(table.get(str(number)) for number in range(1, len(table) + 1))
    for number, word in enumerate(words, 1):
        if not isinstance(word, str):
            raise CheckpointError(
                f"{name}: expected a word for each number from 1 to {len(table)}, got {word!r} for {number}"
            )
    return tuple(word for word in words if isinstance(word, str))

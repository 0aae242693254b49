"""Vocabularies: the words or answers that a model was trained on, by index.

Indices are 0-based here; the original program's files count from 1.
"""

import collections
import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from gradcam_jax.errors import InputError, nearest
from gradcam_jax.formats.json_file import read_json

UNKNOWN = "UNK"
"""The vocabulary entry that stands for every word outside it."""

_ALIKE = 0.6  # difflib's ratio from which an entry is near one that was mistyped


class Vocabulary:
    """A list of distinct texts (words or answers) and the index of each.

    Attributes:
        entries: The texts, by index.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        """Indexes the entries in order; a repeated one is an error that names it."""
        self.entries = tuple(entries)
        self._index = {entry: index for index, entry in enumerate(self.entries)}
        if len(self._index) != len(self.entries):
            repeated = next(entry for index, entry in enumerate(self.entries) if self._index[entry] != index)
            raise InputError(f"Expected distinct vocabulary entries, but {repeated!r} is listed twice.")

    def __len__(self) -> int:
        """Returns the number of entries."""
        return len(self.entries)

    def __contains__(self, entry: object) -> bool:
        """Tells whether an entry is listed, exactly as written."""
        return entry in self._index

    def index(self, entry: str) -> int:
        """Returns an entry's index, else that of ``UNK``, else raises ``KeyError``."""
        return self._index[entry] if entry in self._index else self._index[UNKNOWN]

    def find(self, text: str) -> int:
        """Returns the index of an entry as a user writes it: case and surrounding blanks do not matter.

        The original program looks for the exact text and, when there is none, silently explains another.

        Raises:
            InputError: If there is no such entry; the nearest ones are listed.

        Example:
            >>> Vocabulary(["yes", "no", "dog"]).find(" Dog")
            2
        """
        entry = text.strip()
        if entry in self._index:
            return self._index[entry]
        folded = {entry.casefold(): index for index, entry in reversed(list(enumerate(self.entries)))}
        if entry.casefold() in folded:
            return folded[entry.casefold()]
        words = entry.casefold()
        near = [known for known in self.entries if words and f" {words} " in f" {known.casefold()} "]
        near += [known for known in nearest(entry, self.entries) if _alike(words, known.casefold())]
        names = ", ".join(dict.fromkeys(near or self.entries[:5]))
        kind = "Nearest" if near else "Some of them"
        raise InputError(f"{entry!r} is none of the {len(self)} answers this model knows. {kind}: {names}.")


def read_vocabularies(path: str | Path) -> tuple[Vocabulary, Vocabulary]:
    """Reads the words and the answers of a ``data_prepro.json``, the file that goes with an ``lstm.t7``.

    Args:
        path: JSON whose ``ix_to_word`` and ``ix_to_ans`` map 1-based indices, as strings, to texts.

    Returns:
        Words and answers.

    Raises:
        InputError: If the file is missing or not such a file, or an index is missing or out of range.
    """
    tables = ("ix_to_word", "ix_to_ans")
    content = read_json(Path(path), *tables)
    words, answers = (_entries(content[name], name, str(path)) for name in tables)
    if UNKNOWN not in words:
        raise InputError(f"The vocabulary {str(path)!r} has no {UNKNOWN!r} entry for the words outside it.")
    return Vocabulary(words), Vocabulary(answers)


def count_words(texts: Iterable[Sequence[str]], *, min_count: int = 1) -> Vocabulary:
    """Returns the tokens that occur at least ``min_count`` times, the most frequent first, and ``UNK`` last.

    Args:
        texts: Token lists.
        min_count: The fewest occurrences of a listed token.

    Example:
        >>> count_words([["a", "dog"], ["dog"]]).entries
        ('dog', 'a', 'UNK')
    """
    counts = collections.Counter(token for tokens in texts for token in tokens if token != UNKNOWN)
    frequent = [token for token, count in counts.items() if count >= min_count]
    return Vocabulary([*sorted(frequent, key=lambda token: (-counts[token], token)), UNKNOWN])


def _alike(first: str, second: str) -> bool:
    return difflib.SequenceMatcher(None, first, second).ratio() > _ALIKE


def _entries(table: Any, name: str, path: str) -> list[str]:
    if not isinstance(table, dict) or not table:
        raise InputError(f"The vocabulary {path!r} has no table {name!r} from index to text.")
    expected = [str(index) for index in range(1, len(table) + 1)]
    missing = [index for index in expected if index not in table]
    if missing:
        unexpected = [index for index in table if index not in set(expected)]
        raise InputError(
            f"Expected the indices 1 to {len(table)} in {name!r} of {path!r}: {', '.join(missing[:5])} missing, "
            f"{', '.join(unexpected[:5])} instead."
        )
    return [str(table[index]) for index in expected]

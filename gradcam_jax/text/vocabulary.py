"""Vocabularies and tokenisers: from a question's text to the word indices that a model was trained on, and back.

Indices are 0-based here; the original program's files count from 1.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gradcam_jax.errors import InputError, nearest

UNKNOWN = "UNK"
"""The vocabulary entry that stands for every word outside it."""


class Vocabulary:
    """A list of distinct texts (words or answers) and each one's place in it.

    Attributes:
        entries: The texts, by index.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        """Takes the entries in order; a repeated one is an error that names it."""
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
        """Returns an entry's index, or that of ``UNK``; without an ``UNK`` a stranger is a ``KeyError``."""
        return self._index[entry] if entry in self._index else self._index[UNKNOWN]

    def find(self, text: str) -> int:
        """Returns the index of an entry as a user writes it: case and outer blanks do not matter.

        The original program looks for the exact text and, when there is none, silently explains another.

        Raises:
            InputError: If there is no such entry; the nearest ones are listed.

        Example:
            >>> Vocabulary(["yes", "no", "dog"]).find(" Dog")
            2
        """
        wanted = text.strip()
        if wanted in self._index:
            return self._index[wanted]
        folded = {entry.casefold(): index for index, entry in reversed(list(enumerate(self.entries)))}
        if wanted.casefold() in folded:
            return folded[wanted.casefold()]
        near = ", ".join(nearest(wanted, self.entries)) or ", ".join(self.entries[:5])
        raise InputError(f"{text!r} is none of the {len(self)} answers this model knows. Nearest: {near}.")


def read_vocabularies(path: str | Path) -> tuple[Vocabulary, Vocabulary]:
    """Reads the words and the answers of a ``data_prepro.json``, the file that goes with an ``lstm.t7``.

    Args:
        path: JSON with ``ix_to_word`` and ``ix_to_ans``: 1-based indices, as strings, to texts.

    Returns:
        Words and answers.

    Raises:
        InputError: If the file is missing or not such a file, or an index is missing or out of range.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"The vocabulary {str(path)!r} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"The vocabulary {str(path)!r} is not JSON: {error}.") from error
    words, answers = (_entries(content, key, str(path)) for key in ("ix_to_word", "ix_to_ans"))
    if UNKNOWN not in words:
        raise InputError(f"The vocabulary {str(path)!r} has no {UNKNOWN!r} entry for the words outside it.")
    return Vocabulary(words), Vocabulary(answers)


def vocabularies_to_json(words: Vocabulary, answers: Vocabulary) -> dict[str, Mapping[str, str]]:
    """Returns the two vocabularies in the layout that :func:`read_vocabularies` reads."""
    return {
        key: {str(index): entry for index, entry in enumerate(vocabulary.entries, 1)}
        for key, vocabulary in (("ix_to_word", words), ("ix_to_ans", answers))
    }


def count_words(texts: Iterable[Sequence[str]], *, min_count: int = 1) -> Vocabulary:
    """Lists the tokens seen at least so often, the most frequent first, and ``UNK`` last.

    Args:
        texts: Token lists.
        min_count: How often a token must be seen.
    """
    counts: dict[str, int] = {}
    for tokens in texts:
        for token in tokens:
            counts[token] = counts.get(token, 0) + 1
    kept = sorted((token for token, count in counts.items() if count >= min_count), key=lambda t: (-counts[t], t))
    return Vocabulary([*(token for token in kept if token != UNKNOWN), UNKNOWN])


def _entries(content: Any, key: str, path: str) -> list[str]:
    table = content.get(key) if isinstance(content, dict) else None
    if not isinstance(table, dict) or not table:
        raise InputError(f"The vocabulary {path!r} has no table {key!r} from index to text.")
    expected = [str(index) for index in range(1, len(table) + 1)]
    missing = [index for index in expected if index not in table]
    if missing:
        strange = [index for index in table if index not in set(expected)]
        raise InputError(
            f"Expected the indices 1 to {len(table)} in {key!r} of {path!r}: {', '.join(missing[:5])} missing, "
            f"{', '.join(strange[:5])} instead."
        )
    return [str(table[index]) for index in expected]

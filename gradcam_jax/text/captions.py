"""Captions: their words as a captioner reads them, and the spans of words and phrases."""

import re
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.models.captioner import MAX_WORDS
from gradcam_jax.text.vocabulary import UNKNOWN, Vocabulary

_WORD = re.compile(r"[A-Za-z0-9]+")


class UnknownWordsWarning(UserWarning):
    """Words of a caption that the model does not know; it reads them as ``UNK``."""


class Caption(NamedTuple):
    """A caption as a model reads it.

    Attributes:
        words: The words, as they are looked up.
        known: For each word, whether it is in the vocabulary; the others are read as ``UNK``.
        tokens: Word indices, ``(MAX_WORDS,)`` int32, left-aligned; END past the last word.
    """

    words: tuple[str, ...]
    known: tuple[bool, ...]
    tokens: np.ndarray

    @property
    def text(self) -> str:
        """The words, joined by blanks."""
        return " ".join(self.words)


def caption_words(text: str, *, lower: bool = True) -> tuple[str, ...]:
    """Splits a caption by the original program's rule: runs of ASCII letters and digits.

    Apostrophes and hyphens split words, as in the original, which does not lower the case: "A dog" begins with an
    unknown word there, and here with ``lower=False``.

    Example:
        >>> caption_words("A dog's well-known toy.")
        ('a', 'dog', 's', 'well', 'known', 'toy')
    """
    return tuple(_WORD.findall(text.lower() if lower else text))


def encode_caption(text: str, vocabulary: Vocabulary, *, lower: bool = True) -> Caption:
    """Turns a caption into word indices.

    Args:
        text: The caption.
        vocabulary: The model's words.
        lower: Whether capitals are lowered first, which the original program does not do.

    Raises:
        InputError: If there is no word, or more than 16, or an unknown one where the vocabulary has no ``UNK``.

    Warns:
        UnknownWordsWarning: If words are not in the vocabulary; they are named.

    Example:
        >>> caption = encode_caption("A dog!", Vocabulary(["a", "dog", "UNK"]))
        >>> caption.words, caption.tokens[:4].tolist()
        (('a', 'dog'), [0, 1, 3, 3])
    """
    words = caption_words(text, lower=lower)
    if not words:
        raise InputError(f"Expected a caption with at least one letter or digit, got {text!r} instead.")
    if len(words) > MAX_WORDS:
        raise InputError(
            f"A caption may have at most {MAX_WORDS} words, the length that the model was trained on; this one "
            f"has {len(words)}. Leave out from {' '.join(words[MAX_WORDS:][:5])!r} on, or explain it in parts."
        )
    known = tuple(word in vocabulary for word in words)
    unknown = list(dict.fromkeys(word for word in words if word not in vocabulary))
    if unknown and UNKNOWN not in vocabulary:
        raise InputError(f"The model does not know {', '.join(unknown)}, and has no {UNKNOWN} to stand for them.")
    if unknown:
        phrase = (
            ", ".join(map(repr, unknown)) if any(known) else f"any word of this caption ({', '.join(unknown)})"
        )
        warnings.warn(f"The model does not know {phrase}; read as {UNKNOWN}.", UnknownWordsWarning, stacklevel=2)
    tokens = np.full(MAX_WORDS, len(vocabulary), np.int32)
    tokens[: len(words)] = [vocabulary.index(word) for word in words]
    return Caption(words, known, tokens)


def decode_tokens(tokens: Sequence[int] | np.ndarray, vocabulary: Vocabulary) -> str:
    """Returns the words before END, joined by blanks.

    Example:
        >>> decode_tokens([1, 0, 2], Vocabulary(["dog", "a"]))
        'a dog'
    """
    words = []
    for token in np.asarray(tokens).tolist():
        if token >= len(vocabulary):
            break
        words.append(vocabulary.entries[token])
    return " ".join(words)


def find_phrase(phrase: str, words: Sequence[str]) -> tuple[int, int]:
    """Returns where a phrase first occurs among a caption's words: its first word, and the one after its last.

    Raises:
        InputError: If it does not occur.

    Example:
        >>> find_phrase("A cat", ["a", "dog", "and", "a", "cat"])
        (3, 5)
    """
    span = caption_words(phrase)
    lowered = tuple(word.lower() for word in words)
    for start in range(len(lowered) - len(span) + 1):
        if span and lowered[start : start + len(span)] == span:
            return start, start + len(span)
    raise InputError(f"The phrase {phrase!r} does not occur in the caption {' '.join(words)!r}.")

"""From a question's text to the word indices that a model was trained on, by the Penn Treebank's rules."""

import functools
import re
from typing import Any, NamedTuple

import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.text.vocabulary import Vocabulary

MAX_QUESTION_TOKENS = 26
"""Tokens of a question that are read; the original program cuts off what follows."""


class Question(NamedTuple):
    """A question as a model reads it.

    Attributes:
        tokens: The tokens kept, as written (lower case).
        known: For each token, whether it is in the vocabulary; the others are read as ``UNK``.
        ids: Word indices, ``(MAX_QUESTION_TOKENS,)`` int32, left-aligned; past the length they are 0.
        length: Number of tokens kept, 1 to 26.
        dropped: Number of tokens cut off.
    """

    tokens: tuple[str, ...]
    known: tuple[bool, ...]
    ids: np.ndarray
    length: int
    dropped: int


def question_tokens(text: str) -> list[str]:
    """Splits a question into lower-case tokens, by the rules of the Penn Treebank as NLTK has them.

    The original program first splits sentences with a model that is a download of its own; here a final
    full stop, question or exclamation mark followed by a blank ends a sentence.

    Example:
        >>> question_tokens("What's that, an animal?")
        ['what', "'s", 'that', ',', 'an', 'animal', '?']
    """
    sentences = re.split(r"(?<=[.?!])\s+", text.strip().lower())
    return [token for sentence in sentences for token in _treebank().tokenize(sentence)]


def encode_question(text: str, vocabulary: Vocabulary, max_tokens: int = MAX_QUESTION_TOKENS) -> Question:
    """Turns a question into word indices.

    Args:
        text: The question, in any case.
        vocabulary: The model's words; must hold ``UNK``.
        max_tokens: Tokens read; further ones are dropped and counted.

    Raises:
        InputError: If the question has no token.

    Example:
        >>> question = encode_question("What yak?", Vocabulary(["what", "?", "UNK"]))
        >>> question.tokens, question.known, question.ids[:4].tolist(), question.length
        (('what', 'yak', '?'), (True, False, True), [0, 2, 1, 0], 3)
    """
    tokens = question_tokens(text)
    if not tokens:
        raise InputError(f"Expected a question, such as 'What animal?', got {text!r} instead.")
    kept = tuple(tokens[:max_tokens])
    ids = np.zeros(max_tokens, np.int32)
    ids[: len(kept)] = [vocabulary.index(token) for token in kept]
    return Question(kept, tuple(token in vocabulary for token in kept), ids, len(kept), len(tokens) - len(kept))


@functools.cache
def _treebank() -> Any:
    # Imported when first needed: NLTK takes longer to import than this whole package.
    from nltk.tokenize import NLTKWordTokenizer

    return NLTKWordTokenizer()

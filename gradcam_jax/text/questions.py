"""From a question's text to the word indices that a model was trained on, by the Penn Treebank's rules."""

import functools
import re
from typing import Any, NamedTuple

import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.text.vocabulary import Vocabulary

MAX_QUESTION_TOKENS = 26
"""Number of tokens of a question that are read, as in the original program; further ones are dropped."""


class Question(NamedTuple):
    """A question as a model reads it.

    Attributes:
        tokens: The tokens that are read, in lower case.
        known: For each token, whether it is in the vocabulary; the others are read as ``UNK``.
        ids: Word indices, ``(MAX_QUESTION_TOKENS,)`` int32, left-aligned; past the length they are 0.
        length: Number of tokens that are read, 1 to 26.
        dropped: Number of tokens after them, which are not read.
    """

    tokens: tuple[str, ...]
    known: tuple[bool, ...]
    ids: np.ndarray
    length: int
    dropped: int


def question_tokens(text: str) -> list[str]:
    """Splits a question into lower-case tokens, by the rules of the Penn Treebank as NLTK has them.

    The original program first splits sentences with a trained model, a download of its own; here a full stop,
    question or exclamation mark followed by a blank ends a sentence.

    Example:
        >>> question_tokens("What's that, an animal?")
        ['what', "'s", 'that', ',', 'an', 'animal', '?']
    """
    sentences = re.split(r"(?<=[.?!])\s+", text.strip().lower())
    return [token for sentence in sentences for token in _treebank().tokenize(sentence)]


def encode_question(text: str, vocabulary: Vocabulary) -> Question:
    """Turns a question into word indices, of which the first ``MAX_QUESTION_TOKENS`` are read.

    Args:
        text: The question, in any case.
        vocabulary: The model's words; must hold ``UNK``.

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
    dropped = len(tokens[MAX_QUESTION_TOKENS:])
    tokens = tuple(tokens[:MAX_QUESTION_TOKENS])
    ids = np.zeros(MAX_QUESTION_TOKENS, np.int32)
    ids[: len(tokens)] = [vocabulary.index(token) for token in tokens]
    return Question(tokens, tuple(token in vocabulary for token in tokens), ids, len(tokens), dropped)


@functools.cache
def _treebank() -> Any:
    # Imported at the first call: NLTK takes longer to import than this whole package.
    from nltk.tokenize import NLTKWordTokenizer

    return NLTKWordTokenizer()

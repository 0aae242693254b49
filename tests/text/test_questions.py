"""A question's tokens are the original's, and its word indices are padded, cut and marked."""

import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.text.questions import encode_question, question_tokens
from gradcam_jax.text.vocabulary import Vocabulary


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("What animal?", ["what", "animal", "?"]),
        ("What's that?", ["what", "'s", "that", "?"]),
        ("Don't you see?", ["do", "n't", "you", "see", "?"]),
        ("I cannot see it.", ["i", "can", "not", "see", "it", "."]),
        ('Is it a "dog", or no?', ["is", "it", "a", "``", "dog", "''", ",", "or", "no", "?"]),
        ("A dog. What breed?", ["a", "dog", ".", "what", "breed", "?"]),
        ("Un café à 3.5 €?", ["un", "café", "à", "3.5", "€", "?"]),
        ("猫?", ["猫", "?"]),
    ],
)
def test_questions_are_split_as_the_original_splits_them(text, tokens):
    assert question_tokens(text) == tokens


def test_a_question_is_padded_and_its_unknown_words_marked():
    question = encode_question("What yak?", Vocabulary(["what", "animal", "?", "UNK"]))
    assert question.known == (True, False, True)
    np.testing.assert_array_equal(question.ids, [0, 3, 2] + [0] * 23)
    assert question.ids.dtype == np.int32


def test_a_300_word_question_is_cut_and_says_so():
    question = encode_question("dog " * 300, Vocabulary(["dog", "UNK"]))
    assert (question.length, question.dropped, len(question.tokens)) == (26, 274, 26)


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_an_empty_question_is_an_error(text):
    with pytest.raises(InputError, match="Expected a question"):
        encode_question(text, Vocabulary(["UNK"]))

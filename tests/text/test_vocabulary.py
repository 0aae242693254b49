"""Tokens, vocabularies and what a user may type."""

import json

import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.text.questions import encode_question, question_tokens
from gradcam_jax.text.vocabulary import Vocabulary, count_words, read_vocabularies, vocabularies_to_json


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


def test_a_question_is_padded_and_its_strangers_marked():
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


def test_an_answer_may_differ_in_case_but_an_exact_one_wins():
    answers = Vocabulary(["US", "us", "Dog"])
    assert (answers.find("us"), answers.find("US"), answers.find("DOG "), answers.find("Us")) == (1, 0, 2, 0)


def test_a_strange_answer_names_the_nearest():
    with pytest.raises(InputError, match=r"'dgo' is none of the 3 answers.*Nearest: dog"):
        Vocabulary(["yes", "dog", "cat"]).find("dgo")


def test_a_repeated_entry_is_named():
    with pytest.raises(InputError, match="'dog' is listed twice"):
        Vocabulary(["dog", "cat", "dog"])


def test_vocabularies_survive_a_file(tmp_path):
    words, answers = Vocabulary(["what", "café", "UNK"]), Vocabulary(["yes", "no"])
    path = tmp_path / "data_prepro.json"
    path.write_text(json.dumps(vocabularies_to_json(words, answers)), encoding="utf-8")
    read = read_vocabularies(path)
    assert [vocabulary.entries for vocabulary in read] == [words.entries, answers.entries]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"ix_to_word": {"1": "a", "3": "UNK"}, "ix_to_ans": {"1": "yes"}}', "2 missing, 3 instead"),
        ('{"ix_to_word": {"1": "a"}, "ix_to_ans": {"1": "yes"}}', "no 'UNK' entry"),
        ('{"ix_to_word": {"1": "UNK"}}', "no table 'ix_to_ans'"),
        ("[]", "no table 'ix_to_word'"),
        ("{", "is not JSON"),
    ],
)
def test_a_broken_vocabulary_file_is_explained(tmp_path, content, message):
    path = tmp_path / "data_prepro.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_vocabularies(path)


def test_a_missing_vocabulary_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"data_prepro.json' cannot be read"):
        read_vocabularies(tmp_path / "data_prepro.json")


def test_words_are_counted_most_frequent_first_unknown_last():
    assert count_words([["b", "a"], ["a", "c"]]).entries == ("a", "b", "c", "UNK")
    assert count_words([["b", "a"], ["a", "c"]], min_count=2).entries == ("a", "UNK")

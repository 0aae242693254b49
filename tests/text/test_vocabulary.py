"""Vocabularies: what a user may type, their files, and how they are counted."""

import json

import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.text.vocabulary import Vocabulary, count_words, read_vocabularies


def test_an_answer_may_differ_in_case_but_an_exact_one_wins():
    answers = Vocabulary(["US", "us", "Dog"])
    assert (answers.find("us"), answers.find("US"), answers.find("DOG "), answers.find("Us")) == (1, 0, 2, 0)


def test_an_unknown_answer_lists_the_nearest():
    with pytest.raises(InputError, match=r"'dgo' is none of the 3 answers.*Nearest: dog"):
        Vocabulary(["yes", "dog", "cat"]).find("dgo")


def test_a_repeated_entry_is_named():
    with pytest.raises(InputError, match="'dog' is listed twice"):
        Vocabulary(["dog", "cat", "dog"])


def test_vocabularies_are_read_from_a_file(tmp_path):
    content = {"ix_to_word": {"2": "café", "1": "what", "3": "UNK"}, "ix_to_ans": {"1": "yes", "2": "no"}}
    path = tmp_path / "data_prepro.json"
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    words, answers = read_vocabularies(path)
    assert (words.entries, answers.entries) == (("what", "café", "UNK"), ("yes", "no"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"ix_to_word": {"1": "a", "3": "UNK"}, "ix_to_ans": {"1": "yes"}}', "2 missing, 3 instead"),
        ('{"ix_to_word": {"1": "a"}, "ix_to_ans": {"1": "yes"}}', "no 'UNK' entry"),
        ('{"ix_to_word": {"1": "UNK"}, "ix_to_ans": []}', "no table 'ix_to_ans'"),
        ('{"ix_to_word": {"1": "UNK"}}', "has no 'ix_to_ans'"),
        ("[]", "has no 'ix_to_word', 'ix_to_ans'"),
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

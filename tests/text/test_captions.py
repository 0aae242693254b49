"""Captions: words, unknown words, limits and phrases."""

import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.text.captions import (
    UnknownWordsWarning,
    caption_words,
    decode_tokens,
    encode_caption,
    find_phrase,
)
from gradcam_jax.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary(["a", "dog", "and", "cat", "UNK"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a dog and a cat", ("a", "dog", "and", "a", "cat")),
        ("A Dog, and 2 cats!", ("a", "dog", "and", "2", "cats")),
        ("don't well-known", ("don", "t", "well", "known")),
        ("café", ("caf",)),  # as Lua's %w in the C locale: é is no letter
        ("\tone\n\ntwo ", ("one", "two")),
    ],
)
def test_words_are_runs_of_ascii_letters_and_digits(text, words):
    assert caption_words(text) == words


def test_the_original_program_leaves_capitals():
    assert caption_words("A Dog", lower=False) == ("A", "Dog")
    with pytest.warns(UnknownWordsWarning, match="'A'"):
        caption = encode_caption("A dog", VOCABULARY, lower=False)
    assert caption.known == (False, True)


@pytest.mark.parametrize("text", ["", "   ", "?!", "...", "—"])
def test_a_caption_without_words_is_an_error(text):
    with pytest.raises(InputError, match="at least one letter or digit"):
        encode_caption(text, VOCABULARY)


def test_sixteen_words_fit_and_seventeen_do_not():
    assert len(encode_caption("a " * 16, VOCABULARY).words) == 16
    with pytest.raises(InputError, match=r"at most 16 words.*has 17.*'dog'"):
        encode_caption("a " * 16 + "dog", VOCABULARY)


def test_unknown_words_are_read_as_unk_and_named():
    with pytest.warns(UnknownWordsWarning, match=r"'yak', 'emu'; read as UNK"):
        caption = encode_caption("a yak and a emu yak", VOCABULARY)
    assert caption.known == (True, False, True, True, False, False)
    assert caption.tokens[:7].tolist() == [0, 4, 2, 0, 4, 4, 5]


def test_a_caption_of_unknown_words_only_is_read_with_a_warning_that_says_so():
    with pytest.warns(UnknownWordsWarning, match=r"any word of this caption \(yak, emu\)"):
        caption = encode_caption("yak emu", VOCABULARY)
    assert caption.tokens[:3].tolist() == [4, 4, 5]


def test_a_vocabulary_without_unk_refuses_unknown_words():
    with pytest.raises(InputError, match="does not know yak"):
        encode_caption("a yak", Vocabulary(["a"]))


def test_repeated_words_are_words_of_their_own():
    caption = encode_caption("a dog and a dog", VOCABULARY)
    assert caption.words == ("a", "dog", "and", "a", "dog")
    assert caption.tokens[:6].tolist() == [0, 1, 2, 0, 1, 5]


def test_tokens_are_read_back_until_end():
    assert decode_tokens(encode_caption("a dog and a cat", VOCABULARY).tokens, VOCABULARY) == "a dog and a cat"
    assert decode_tokens([5, 1, 1], VOCABULARY) == ""


def test_a_phrase_is_found_where_it_first_occurs():
    words = ("a", "dog", "and", "a", "dog")
    assert find_phrase("a dog", words) == (0, 2)
    assert find_phrase("Dog and", words) == (1, 3)
    with pytest.raises(InputError, match="'a cat' does not occur"):
        find_phrase("a cat", words)
    with pytest.raises(InputError):
        find_phrase("", words)

"""Pieces of every common tokeniser as words."""

import pytest

from gradcam_jax import InputError
from gradcam_jax.text import group_pieces

TEXT = ["a", "greyhound", "runs"]
# As tokenisers of each family spell them.
SPELLED = {
    "▁": (["▁a", "▁grey", "h", "ound", "▁runs"], [(0, 1), (1, 4), (4, 5)]),
    "Ġ": (["a", "Ġgrey", "hound", "Ġruns"], [(0, 1), (1, 3), (3, 4)]),
    "##": (["a", "grey", "##ho", "##und", "runs"], [(0, 1), (1, 4), (4, 5)]),
    "</w>": (["a</w>", "grey", "hound</w>", "runs</w>"], [(0, 1), (1, 3), (3, 4)]),
    "@@": (["a", "grey@@", "hound", "runs"], [(0, 1), (1, 3), (3, 4)]),
    "": (["a", "greyhound", "runs"], [(0, 1), (1, 2), (2, 3)]),
}


@pytest.mark.parametrize("marker", SPELLED)
@pytest.mark.parametrize("told", [False, True])
def test_every_convention(marker, told):
    pieces, spans = SPELLED[marker]
    words = group_pieces(pieces, marker if told else None)
    assert [word.text for word in words] == TEXT
    assert [word[1:] for word in words] == spans


def test_special_tokens_stand_alone():
    words = group_pieces(["<s>", "▁a", "▁dog", "gy", "</s>", "<pad>"])
    assert [word.text for word in words] == ["<s>", "a", "doggy", "</s>", "<pad>"]
    words = group_pieces(["[CLS]", "dog", "##gy", "[SEP]"])
    assert [word.text for word in words] == ["[CLS]", "doggy", "[SEP]"]
    words = group_pieces(["dog", "<|endoftext|>", "Ġa"])
    assert [word.text for word in words] == ["dog", "<|endoftext|>", "a"]


def test_bytes_are_read_as_the_characters_that_they_spell():
    # GPT-2's spelling of "un café", and SentencePiece's of a character outside its vocabulary.
    assert [word.text for word in group_pieces(["un", "Ġcaf", "Ã©"])] == ["un", "café"]
    assert group_pieces(["▁so", "▁", "<0xE2>", "<0x98>", "<0x83>"])[1] == ("☃", 1, 5)


def test_punctuation_belongs_to_the_word_that_no_blank_divides_it_from():
    assert [word.text for word in group_pieces(["▁dog", ",", "▁cat", "."])] == ["dog,", "cat."]
    assert [word.text for word in group_pieces(["dog", ",", "##s"])] == ["dog", ",s"]


def test_nothing_is_no_word():
    assert group_pieces([]) == []


def test_another_marker_is_refused():
    with pytest.raises(InputError, match=r"There is no marker '#'"):
        group_pieces(["a"], "#")

"""The table of everyday words: what it said when the bundled models were trained."""

import hashlib

from gradcam_jax.experiments.data.words import (
    CATEGORIES,
    OTHER,
    all_words,
    category_of,
    classes_of,
    word_of_category,
    word_of_ilsvrc,
)


def test_ilsvrcs_classes_have_the_words_that_the_bundled_models_learnt():
    words = [word_of_ilsvrc(index) for index in range(1000)]
    assert hashlib.sha256(repr(words).encode()).hexdigest()[:16] == "6df2071a894e9e88"
    classes = [index for row in all_words() for index in row.classes]
    assert len(classes) == len(set(classes)) == sum(word is not None for word in words)


def test_cocos_80_names_have_a_word_each():
    rows = [row for row in all_words() if row.coco]
    assert len({row.word for row in rows}) == len({row.coco for row in rows}) == 80
    assert (word_of_category("dining table"), word_of_category("dog"), word_of_category("yak")) == (
        "table",
        "dog",
        "yak",
    )


def test_vocs_20_names_have_a_word_each():
    rows = [row for row in all_words() if row.voc]
    assert len({row.word for row in rows}) == len({row.voc for row in rows}) == 20
    assert (word_of_category("sofa"), word_of_category("dog")) == ("couch", "dog")
    assert [row.word for row in rows if not classes_of(row.word)] == ["person", "plant"]


def test_every_word_has_one_category():
    words = [row.word for row in all_words()]
    assert len(words) == len(set(words))
    assert {category_of(word) for word in words} == {*CATEGORIES, OTHER}

"""Official files as arrays: answers, words and photos by hand-computed cases."""

import json
from pathlib import Path

import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.question_sets import (
    NO_ANSWER,
    QuestionSet,
    encode_question_set,
    read_question_set,
    trainable,
)
from gradcam_jax.experiments.data.vqa_files import HumanQuestion
from gradcam_jax.text.vocabulary import Vocabulary
from tests.experiments.data.made_vqa import make_official_vqa


def _set(*texts: tuple[str, str]) -> QuestionSet:
    questions = tuple(
        HumanQuestion(index, index, text, (answer,) * 10, "", "", answer)
        for index, (text, answer) in enumerate(texts)
    )
    return QuestionSet(
        questions, tuple(Path(str(q.image_id)) for q in questions), np.arange(len(texts), dtype=np.int32)
    )


# Two of "ant" and of "bee", one of "cow" and of "dog": of two answers tied, the later in the alphabet comes first.
QUESTIONS = _set(
    ("What is it?", "ant"), ("Is it an ant?", "bee"), ("Why?", "cow"), ("What now?", "dog"), ("What is?", "ant"),
    ("It is what?", "bee"),
)  # fmt: skip


def test_the_most_frequent_answers_ties_in_reverse_alphabetical_order():
    assert trainable(QUESTIONS, 4)[2].entries == ("bee", "ant", "dog", "cow")
    assert trainable(QUESTIONS, 3)[2].entries == ("bee", "ant", "dog")


def test_questions_with_other_answers_are_dropped_before_words_are_counted():
    kept, words, answers = trainable(QUESTIONS, 2)
    assert [question.question_id for question in kept.questions] == [0, 1, 4, 5]
    np.testing.assert_array_equal(kept.photo_of, [0, 1, 4, 5])
    assert answers.entries == ("bee", "ant")
    # "?", "is" and "it" twice or more, ties by the alphabet; neither "why" nor "now".
    assert words.entries == ("?", "is", "it", "what", "an", "ant", "UNK")


def test_every_word_seen_once_is_kept_and_unk_is_last():
    words = trainable(QUESTIONS, 4)[1]
    assert {"why", "now"} < set(words.entries)
    assert words.entries[-1] == "UNK"


def test_unknown_words_are_read_as_unk_and_unknown_answers_have_no_index():
    words, answers = Vocabulary(["what", "?", "UNK"]), Vocabulary(["ant"])
    arrays = encode_question_set(_set(("What yak?", "ant"), ("What?", "yak")), words, answers)
    np.testing.assert_array_equal(arrays.ids[:, :4], [[0, 2, 1, 0], [0, 1, 0, 0]])
    np.testing.assert_array_equal(arrays.length, [3, 2])
    np.testing.assert_array_equal(arrays.answer, [0, NO_ANSWER])
    assert arrays.ids.shape == (2, 26)


def test_the_first_26_words_are_read():
    words = Vocabulary(["what", "UNK"])
    arrays = encode_question_set(_set(("what " * 300, "ant")), words, Vocabulary(["ant"]))
    assert arrays.length.tolist() == [26]


def test_questions_find_their_photos(tmp_path):
    made = make_official_vqa(tmp_path, photos=3)
    found = read_question_set([made["questions"]], [made["annotations"]], [made["images"]])
    assert len(found.photos) == 3
    assert len(found.questions) == 15
    for question, place in zip(found.questions, found.photo_of, strict=True):
        assert found.photos[place].name == f"COCO_train2014_{question.image_id:012d}.jpg"
    assert {question.answer_type for question in found.questions} == {"yes/no", "other"}


def test_several_files_are_joined(tmp_path):
    parts = [make_official_vqa(tmp_path, subtype, photos=2) for subtype in ("train2014", "val2014")]
    joined = read_question_set(
        *([part[name] for part in parts] for name in ("questions", "annotations", "images"))
    )
    assert len(joined.questions) == 20
    # Photo 1 of train2014 is not photo 1 of val2014.
    assert joined.photo_of.tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5


def test_test_files_come_without_answers_and_cannot_be_trained_on(tmp_path):
    made = make_official_vqa(tmp_path, "test2015", photos=1)
    found = read_question_set([made["questions"]], [], [made["images"]])
    arrays = encode_question_set(found, Vocabulary(["UNK"]), Vocabulary(["red"]))
    assert arrays.answer.tolist() == [NO_ANSWER] * 5
    with pytest.raises(InputError, match="training questions with answers"):
        trainable(found)


def test_a_missing_photo_is_named(tmp_path):
    made = make_official_vqa(tmp_path, photos=3)
    (Path(made["images"]) / "COCO_train2014_000000000002.jpg").unlink()
    with pytest.raises(InputError, match=r"COCO_train2014_000000000002\.jpg"):
        read_question_set([made["questions"]], [made["annotations"]], [made["images"]])


def test_files_must_come_in_threes(tmp_path):
    made = make_official_vqa(tmp_path, photos=1)
    with pytest.raises(InputError, match="got 1 of questions, 1 of annotations, 0 folders"):
        read_question_set([made["questions"]], [made["annotations"]], [])


def test_without_a_subtype_the_folders_name_stands_for_it(tmp_path):
    made = make_official_vqa(tmp_path, photos=1)
    path = Path(made["questions"])
    content = json.loads(path.read_text())
    del content["data_subtype"]
    path.write_text(json.dumps(content))
    assert read_question_set([made["questions"]], [], [made["images"]]).photos[0].is_file()

"""Scores of answers."""

import pytest

from gradcam_jax.experiments.metrics.answers import (
    QuestionOnlyBaseline,
    accuracy_by_kind,
    table_by_kind,
    vqa_accuracy,
)


@pytest.mark.parametrize(("people", "score"), [(0, 0.0), (1, 1 / 3), (2, 2 / 3), (3, 1.0), (10, 1.0)])
def test_three_people_make_an_answer_right(people, score):
    assert vqa_accuracy("dog", ["dog"] * people + ["cat"] * (10 - people)) == pytest.approx(score)


def test_kinds_are_averaged_apart():
    assert accuracy_by_kind(["a", "a", "b"], [1, 0, 1]) == {"all": 2 / 3, "a": 0.5, "b": 1.0}
    assert accuracy_by_kind([], []) == {}


def test_a_table_has_a_row_for_each_kind_with_its_count():
    table = table_by_kind(["a", "a", "b"], {"seeing": [1, 0, 1], "blind": [0, 0, 1]}, counted="questions")
    assert table == {
        "all": {"seeing": 2 / 3, "blind": 1 / 3, "questions": 3},
        "a": {"seeing": 0.5, "blind": 0.0, "questions": 2},
        "b": {"seeing": 1.0, "blind": 1.0, "questions": 1},
    }
    assert table_by_kind([], {"seeing": []}, counted="questions") == {}


def test_the_baseline_never_sees_a_picture():
    seen = [("q1", ("a",)), ("q1", ("b",)), ("q1", ("b",)), ("q2", ("a", "c")), ("q3", ("a",))]
    baseline = QuestionOnlyBaseline(("k", text, answers) for text, answers in seen)
    assert baseline.answer("k", "q1") == "b"
    assert baseline.answer("k", "unseen") == "a"
    assert baseline.answer("other", "unseen") == ""

"""The official accuracy by hand-computed cases."""

import pytest

from gradcam_jax.experiments.metrics.answers import normalized_answer, official_accuracy, official_scores


# n of ten people agree. Leaving one of them out leaves n - 1, leaving another out leaves n: (n min((n - 1) / 3, 1)
# + (10 - n) min(n / 3, 1)) / 10.
@pytest.mark.parametrize(("agree", "score"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)])
def test_leave_one_out(agree, score):
    people = ["dog"] * agree + ["cat"] * (10 - agree)
    assert official_accuracy("dog", people) == pytest.approx(score, abs=1e-12)


@pytest.mark.parametrize(
    ("answer", "compared"),
    [
        ("Yes.", "yes"),
        ("a dog", "dog"),
        ("two", "2"),
        ("none", "0"),
        ("black/white", "black white"),
        ("black, white", "black white"),
        ("1,000", "1000"),
        ("1.5", "1.5"),
        ("t-shirt", "t shirt"),
        (" the\tcat\n", "cat"),
    ],
)
def test_answers_are_compared_without_what_does_not_matter(answer, compared):
    assert normalized_answer(answer) == compared


def test_answers_are_compared_as_they_are_when_everyone_agrees():
    assert official_accuracy("two", ["2"] * 10) == 0
    assert official_accuracy("two", ["2"] * 9 + ["3"]) == 1


def test_scores_by_type():
    people = ("yes",) * 10, ("dog",) * 2 + ("cat",) * 8
    scores = official_scores(["yes", "dog"], people, ["yes/no", "other"], ["is it", "what"])
    assert scores["official"] == pytest.approx({"all": 0.8, "yes/no": 1.0, "other": 0.6})
    assert scores["vqa_accuracy"] == pytest.approx({"all": 5 / 6, "yes/no": 1.0, "other": 2 / 3})
    assert scores["question_types"] == pytest.approx({"is it": 1.0, "what": 0.6})

"""The official question and annotation files."""

import json

import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.vqa_files import image_file, most_frequent_answers, read_vqa


def _write(folder, annotated=(1, 2)):
    questions = [{"question_id": i, "image_id": 10 * i, "question": f"What is {i}?"} for i in (1, 2)]
    annotations = [
        {"question_id": i, "image_id": 10 * i, "question_type": "what is",
         "answers": [{"answer": answer, "answer_id": k} for k, answer in enumerate(["dog"] * 6 + ["cat"] * 4)]}
        for i in annotated
    ]  # fmt: skip
    (folder / "q.json").write_text(json.dumps({"questions": questions}))
    (folder / "a.json").write_text(json.dumps({"annotations": annotations}))
    return folder / "q.json", folder / "a.json"


def test_questions_come_with_ten_answers(tmp_path):
    first, _ = read_vqa(*_write(tmp_path))
    assert (first.image_id, first.text, first.question_type) == (10, "What is 1?", "what is")
    assert len(first.answers) == 10
    assert first.answer == "dog"


def test_test_questions_have_no_answers(tmp_path):
    assert [question.answers for question in read_vqa(_write(tmp_path)[0])] == [(), ()]


def test_files_that_do_not_belong_together_are_an_error(tmp_path):
    with pytest.raises(InputError, match=r"1 questions .* no annotation .* such as 2"):
        read_vqa(*_write(tmp_path, annotated=(1,)))


def test_ties_are_broken_by_reverse_alphabet(tmp_path):
    questions = read_vqa(*_write(tmp_path))
    other = questions[0]._replace(answers=("ant",))
    assert most_frequent_answers([*questions, other, other], 2) == ["dog", "ant"]


@pytest.mark.parametrize("name", ["COCO_val2014_000000000042.jpg", "000000000042.jpg"])
def test_photos_are_found_under_both_names(tmp_path, name):
    (tmp_path / name).touch()
    assert image_file(tmp_path, "val2014", 42).name == name


def test_a_missing_photo_names_both(tmp_path):
    with pytest.raises(InputError, match=r"COCO_val2014_000000000042\.jpg' or '000000000042\.jpg"):
        image_file(tmp_path, "val2014", 42)

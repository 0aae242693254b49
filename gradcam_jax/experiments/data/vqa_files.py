"""The official VQA files (v1 and v2): questions, and ten people's answers to each."""

import collections
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.photos import subfolders
from gradcam_jax.formats.json_file import read_json


class HumanQuestion(NamedTuple):
    """A question that a person asked about a photo.

    Attributes:
        image_id: COCO's number of the photo.
        answers: What ten people answered; empty for the test sets, whose answers are not published.
        question_type: Its first words, as the official files have it (``"what is the"``); empty without answers.
        answer_type: ``"yes/no"``, ``"number"`` or ``"other"``; empty if the file does not tell.
        multiple_choice_answer: The answer that the official files settled on; empty if the file does not tell.
    """

    question_id: int
    image_id: int
    text: str
    answers: tuple[str, ...]
    question_type: str
    answer_type: str = ""
    multiple_choice_answer: str = ""

    @property
    def answer(self) -> str:
        """The answer the official files settled on, else the most frequent one, the first of those at a tie."""
        return self.multiple_choice_answer or collections.Counter(self.answers).most_common(1)[0][0]


def read_vqa(questions: str | Path, annotations: str | Path | None = None) -> list[HumanQuestion]:
    """Reads an official file of questions, in its order, and that of their answers, if given."""
    records = read_json(Path(questions), "questions")["questions"]
    answers = read_json(Path(annotations), "annotations")["annotations"] if annotations else []
    by_question = {annotation["question_id"]: annotation for annotation in answers}
    missing = [record["question_id"] for record in records if record["question_id"] not in by_question]
    if missing and annotations:
        raise InputError(
            f"{len(missing)} questions of {str(questions)!r} have no annotation in {str(annotations)!r}, such as "
            f"{missing[0]}. Do the two files belong together?"
        )
    pairs = [(record, by_question.get(record["question_id"], {})) for record in records]
    return [
        HumanQuestion(
            question["question_id"],
            question["image_id"],
            question["question"],
            tuple(answer["answer"] for answer in annotation.get("answers", ())),
            *(annotation.get(name, "") for name in ("question_type", "answer_type", "multiple_choice_answer")),
        )
        for question, annotation in pairs
    ]


def read_human_questions(data: str | Path) -> list[HumanQuestion]:
    """Returns people's questions from every subfolder with ``vqa_questions.json`` and ``vqa_annotations.json``."""
    folders = [folder for folder in subfolders(data) if (folder / "vqa_questions.json").is_file()]
    files = [(folder / "vqa_questions.json", folder / "vqa_annotations.json") for folder in folders]
    return [question for pair in files for question in read_vqa(*pair)]


def image_file(folder: str | Path, subtype: str, image_id: int) -> Path:
    """Returns a COCO photo's file: ``COCO_train2014_000000000042.jpg``, or the newer name without its subtype."""
    names = (f"COCO_{subtype}_{image_id:012d}.jpg", f"{image_id:012d}.jpg")
    for name in names:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    raise InputError(f"Expected the photo {names[0]!r} or {names[1]!r} in {str(folder)!r}, found neither.")


def most_frequent_answers(questions: Sequence[HumanQuestion], count: int) -> list[str]:
    """Returns the most frequent answers; ties go by reverse alphabetical order, as in the original."""
    counts = collections.Counter(question.answer for question in questions)
    return sorted(counts, key=lambda answer: (counts[answer], answer), reverse=True)[:count]

"""The official VQA files (v1 and v2): questions, and ten people's answers to each."""

import collections
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.photos import subfolders
from gradcam_jax.formats.json_file import read_json


class HumanQuestion(NamedTuple):
    """A question that a person asked about a photo.

    Attributes:
        question_id: The official number.
        image_id: COCO's number of the photo.
        text: The question.
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
    """Reads questions and, if given, their answers.

    Args:
        questions: Such as ``v2_OpenEnded_mscoco_train2014_questions.json``.
        annotations: Such as ``v2_mscoco_train2014_annotations.json``.

    Returns:
        The questions in the file's order.

    Raises:
        InputError: If a file is missing or not of this format, or a question has no annotation.
    """
    records = read_json(Path(questions), "questions")["questions"]
    answers = read_json(Path(annotations), "annotations")["annotations"] if annotations else []
    by_question = {annotation["question_id"]: annotation for annotation in answers}
    missing = [record["question_id"] for record in records if record["question_id"] not in by_question]
    if missing and annotations:
        raise InputError(
            f"{len(missing)} questions of {str(questions)!r} have no annotation in {str(annotations)!r}, such as "
            f"{missing[0]}. Do the two files belong together?"
        )
    return [_question(record, by_question.get(record["question_id"], {})) for record in records]


def read_human_questions(data: str | Path) -> list[HumanQuestion]:
    """Returns people's questions from every subfolder that has ``vqa_questions.json``, or none.

    Args:
        data: The folder; ``vqa_annotations.json`` lies beside each file of questions.
    """
    folders = [folder for folder in subfolders(data) if (folder / "vqa_questions.json").is_file()]
    files = [(folder / "vqa_questions.json", folder / "vqa_annotations.json") for folder in folders]
    return [question for pair in files for question in read_vqa(*pair)]


def image_file(folder: str | Path, subtype: str, image_id: int) -> Path:
    """Returns a COCO photo's file: ``COCO_train2014_000000000042.jpg`` in the folder, or the newer short name.

    Args:
        folder: Where the photos are.
        subtype: The questions file's ``data_subtype``, such as ``"train2014"``.
        image_id: COCO's number of the photo.

    Raises:
        InputError: If neither is there.
    """
    names = (f"COCO_{subtype}_{image_id:012d}.jpg", f"{image_id:012d}.jpg")
    for name in names:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    raise InputError(f"Expected the photo {names[0]!r} or {names[1]!r} in {str(folder)!r}, found neither.")


def most_frequent_answers(questions: Sequence[HumanQuestion], count: int) -> list[str]:
    """Returns the answers that a classifier of so many is trained on, the most frequent first.

    Ties are broken by reverse alphabetical order, as in the original's preprocessing.
    """
    counts = collections.Counter(question.answer for question in questions)
    return sorted(counts, key=lambda answer: (counts[answer], answer), reverse=True)[:count]


def _question(question: Mapping, annotation: Mapping) -> HumanQuestion:
    return HumanQuestion(
        question["question_id"],
        question["image_id"],
        question["question"],
        tuple(answer["answer"] for answer in annotation.get("answers", ())),
        annotation.get("question_type", ""),
        annotation.get("answer_type", ""),
        annotation.get("multiple_choice_answer", ""),
    )

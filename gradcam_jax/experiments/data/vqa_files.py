"""The official VQA files (v1 and v2): questions, and ten people's answers to each."""

import collections
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.faults import Faults, collected, records_of
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


def read_vqa(
    questions: str | Path, annotations: str | Path | None = None, faults: Faults | None = None
) -> list[HumanQuestion]:
    """Reads an official file of questions, in its order, and that of their answers, if given.

    Records at fault are an error that lists them all, or are taken in by ``faults`` and left out.
    """
    file = Path(questions)
    with collected(faults) as own:
        answers = _answers_of(Path(annotations), own) if annotations else {}
        read: list[HumanQuestion] = []
        missing = []
        records = records_of(read_json(file, "questions"), "questions", file, own, ("question_id", "image_id"))
        for place, record, (question_id, image_id) in records:
            if not isinstance(record.get("question"), str) or not record["question"].strip():
                own.add(place, f"expected a question, got {record.get('question')!r}")
            elif annotations and question_id not in answers:
                missing.append(question_id)
            elif (annotation := answers.get(question_id, {})) is not None:
                told = (
                    annotation.get(key, "") for key in ("question_type", "answer_type", "multiple_choice_answer")
                )
                texts = tuple(answer["answer"] for answer in annotation.get("answers", ()))
                read.append(HumanQuestion(question_id, image_id, record["question"], texts, *told))
        if missing:
            own.add(
                file,
                f"{len(missing)} questions have no annotation in {str(annotations)!r}, such as "
                f"{', '.join(map(str, missing[:10]))}. Do the two files belong together?",
            )
    return read


def _answers_of(file: Path, faults: Faults) -> dict[int, dict[str, Any] | None]:
    """Returns the annotations by their question's number, None for one at fault."""
    found: dict[int, dict[str, Any] | None] = {}
    content = read_json(file, "annotations")
    for place, annotation, (number,) in records_of(content, "annotations", file, faults, ("question_id",)):
        answers = annotation.get("answers", ())
        found[number] = annotation
        good = isinstance(answers, list | tuple) and all(
            isinstance(answer, dict) and isinstance(answer.get("answer"), str) for answer in answers
        )
        if not good:
            found[number] = None
            faults.add(place, f"expected answers [{{'answer': text}}, ...], got {str(answers)[:60]}")
    return found


def read_human_questions(data: str | Path, faults: Faults | None = None) -> list[HumanQuestion]:
    """Returns people's questions from every subfolder with ``vqa_questions.json`` and ``vqa_annotations.json``."""
    folders = [folder for folder in subfolders(data) if (folder / "vqa_questions.json").is_file()]
    files = [(folder / "vqa_questions.json", folder / "vqa_annotations.json") for folder in folders]
    with collected(faults) as own:
        return [question for pair in files for question in read_vqa(*pair, own)]


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

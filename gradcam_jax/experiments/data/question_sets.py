"""Official VQA files with their photos, as the arrays that a head is trained on: the original's preprocessing."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.faults import Faults, collected, keep_whole
from gradcam_jax.experiments.data.vqa_files import HumanQuestion, image_file, most_frequent_answers, read_vqa
from gradcam_jax.experiments.reporting import Progress
from gradcam_jax.formats.json_file import read_json
from gradcam_jax.text.questions import encode_question, question_tokens
from gradcam_jax.text.vocabulary import Vocabulary, count_words

Files = Sequence[str | Path]

NO_ANSWER = -1
"""The index of an answer outside the vocabulary."""


class QuestionSet(NamedTuple):
    """Questions in the files' order, the distinct photos' files, and each question's photo, int32."""

    questions: tuple[HumanQuestion, ...]
    photos: tuple[Path, ...]
    photo_of: np.ndarray


class QuestionArrays(NamedTuple):
    """Questions as a head reads them, int32.

    Attributes:
        image: Index of each question's photo, ``(n,)``.
        ids: Word indices, ``(n, 26)``, left-aligned.
        length: Number of words, ``(n,)``.
        answer: Index of each right answer, ``(n,)``; ``NO_ANSWER`` outside the vocabulary.
    """

    image: np.ndarray
    ids: np.ndarray
    length: np.ndarray
    answer: np.ndarray


def read_question_set(
    questions: Files, annotations: Files, images: Files, faults: Faults | None = None
) -> QuestionSet:
    """Reads and joins question files, what people answered (no files for the test sets), and finds every photo.

    What is at fault is an error that lists it all, or is taken in by ``faults`` and left out, with the questions
    about photos that are not there.
    """
    if not questions or len(images) != len(questions) or len(annotations) not in (0, len(questions)):
        raise InputError(
            "Expected one folder of images, and one or no file of annotations, for each file of questions; got "
            f"{len(questions)} of questions, {len(annotations)} of annotations, {len(images)} folders."
        )
    joined: list[HumanQuestion] = []
    places: dict[Path, int] = {}
    photo_of: list[int] = []
    with collected(faults) as own:
        for index, (file, folder) in enumerate(zip(questions, images, strict=True)):
            part = read_vqa(Path(file), Path(annotations[index]) if annotations else None, own)
            # Excerpts of the official files may not say which part of COCO they are of; its folder's name does.
            subtype = read_json(Path(file)).get("data_subtype") or Path(folder).resolve().name
            files: dict[int, Path] = {}
            for image_id in sorted({question.image_id for question in part}):
                try:
                    files[image_id] = image_file(folder, subtype, image_id)
                except InputError as error:
                    own.add(file, str(error))
            answerable = [question for question in part if question.image_id in files]
            photo_of += [places.setdefault(files[question.image_id], len(places)) for question in answerable]
            joined += answerable
    return QuestionSet(tuple(joined), tuple(places), np.array(photo_of, np.int32))


def with_whole_photos(data: QuestionSet, faults: Faults, progress: Progress, memory: Path | None) -> QuestionSet:
    """Returns the questions whose photo is whole; the other photos are faults."""
    photos = [_File(path) for path in data.photos]
    whole = [photo.path for photo in keep_whole(photos, faults, progress=progress, memory=memory)]
    places = {path: place for place, path in enumerate(whole)}
    rows = [row for row, photo in enumerate(data.photo_of) if data.photos[photo] in places]
    photo_of = [places[data.photos[data.photo_of[row]]] for row in rows]
    return QuestionSet(tuple(data.questions[row] for row in rows), tuple(whole), np.array(photo_of, np.int32))


class _File(NamedTuple):
    path: Path
    load: None = None


def trainable(questions: QuestionSet, answers: int = 1000) -> tuple[QuestionSet, Vocabulary, Vocabulary]:
    """Returns the questions that a head is trained on, their words, and the answers.

    The most frequent answers are kept; questions with others are dropped, and only then are the words counted,
    all of which are kept, ``UNK`` being the last.

    References:
        VT-vision-lab/VQA_LSTM_CNN, ``prepro.py``.
    """
    if not all(question.answers or question.multiple_choice_answer for question in questions.questions):
        raise InputError("Expected training questions with answers; name the files of annotations too.")
    chosen = Vocabulary(most_frequent_answers(questions.questions, answers))
    rows = [row for row, question in enumerate(questions.questions) if question.answer in chosen]
    answerable = tuple(questions.questions[row] for row in rows)
    words = count_words(question_tokens(question.text) for question in answerable)
    return questions._replace(questions=answerable, photo_of=questions.photo_of[rows]), words, chosen


def encode_question_set(questions: QuestionSet, words: Vocabulary, answers: Vocabulary) -> QuestionArrays:
    """Turns questions into arrays; of a longer one the first 26 words are read, unknown words as ``UNK``."""
    encoded = [encode_question(question.text, words) for question in questions.questions]
    answer = [
        answers.index(question.answer) if question.answers and question.answer in answers else NO_ANSWER
        for question in questions.questions
    ]
    return QuestionArrays(
        questions.photo_of,
        np.stack([question.ids for question in encoded]),
        np.array([question.length for question in encoded], np.int32),
        np.array(answer, np.int32),
    )

"""easy-VQA: questions about synthetic pictures of one flat-coloured shape, 64x64 pixels, from its own package."""

from typing import Literal, NamedTuple

import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.photos import Box
from gradcam_jax.images.photos import read_photo

SHAPES = ("circle", "rectangle", "triangle")
"""The answers to questions about the shape."""

YES_OR_NO = "yes or no"
"""The kind of the questions that are neither about the shape nor about the colour alone."""


class EasyQuestion(NamedTuple):
    """A question about the picture of an index; its kind is "shape", "colour" or "yes or no"."""

    image: int
    text: str
    answer: str
    kind: str


class EasyVqa(NamedTuple):
    """One split: pictures, ``(n, 64, 64, 3)`` uint8 RGB, questions and all 13 answers in the official order."""

    images: np.ndarray
    questions: tuple[EasyQuestion, ...]
    answers: tuple[str, ...]


def read_easy_vqa(split: Literal["train", "test"]) -> EasyVqa:
    """Reads an official split: 4,000 pictures and 38,575 questions to train with, 1,000 and 9,673 to test with.

    References:
        https://github.com/vzhou842/easy-VQA (MIT).
    """
    try:
        import easy_vqa
    except ImportError as error:
        raise InputError("easy-VQA is not here. Get it with:  pip install easy-vqa") from error
    train = split == "train"
    paths = easy_vqa.get_train_image_paths() if train else easy_vqa.get_test_image_paths()
    columns = easy_vqa.get_train_questions() if train else easy_vqa.get_test_questions()
    images = np.stack([read_photo(paths[index]) for index in range(len(paths))])
    rows = zip(*columns, strict=True)
    questions = tuple(EasyQuestion(image, text, answer, kind_of(answer)) for text, answer, image in rows)
    return EasyVqa(images, questions, tuple(easy_vqa.get_answers()))


def split_off(data: EasyVqa, count: int) -> tuple[EasyVqa, EasyVqa]:
    """Splits off the last pictures with their questions; those of the second part are numbered anew."""
    first = len(data.images) - count
    before = tuple(question for question in data.questions if question.image < first)
    after = tuple(q._replace(image=q.image - first) for q in data.questions if q.image >= first)
    training = data._replace(images=data.images[:first], questions=before)
    return training, data._replace(images=data.images[first:], questions=after)


def kind_of(answer: str) -> str:
    """Tells what a question is about by its right answer."""
    if answer in ("yes", "no"):
        return YES_OR_NO
    return "shape" if answer in SHAPES else "colour"


def shape_box(image: np.ndarray) -> Box:
    """Returns the box of the one flat-coloured shape on a plain background, ``(H, W, 3)`` in any range.

    A pixel belongs to the shape if it is at least half as far from the background's colour as the pixel that is
    furthest from it: so does, on a smoothed edge, one that the shape covers by half.
    """
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    colours, counts = np.unique(border, axis=0, return_counts=True)
    background = colours[np.argmax(counts)].astype(np.float64)
    distance = np.abs(image.astype(np.float64) - background).max(axis=-1)
    if not distance.any():
        raise InputError("Expected a picture of a shape, got one of a single colour instead.")
    rows, columns = np.nonzero(distance >= distance.max() / 2)
    height, width = distance.shape
    starts = columns.min() / width, rows.min() / height
    ends = (columns.max() + 1) / width, (rows.max() + 1) / height
    return Box(*map(float, (*starts, *ends)))

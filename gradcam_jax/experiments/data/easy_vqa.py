"""easy-VQA: questions about synthetic pictures of one flat-coloured shape, 64x64 pixels, from its own package."""

from typing import Literal, NamedTuple

import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.photos import Box
from gradcam_jax.images.photos import read_photo

EasySplit = Literal["train", "test"]

SHAPES = ("circle", "rectangle", "triangle")
"""The answers to questions about the shape."""

YES_OR_NO = "yes or no"
"""The kind of the questions that are neither about the shape nor about the colour alone."""


class EasyQuestion(NamedTuple):
    """A question about one picture.

    Attributes:
        image: Index of the picture.
        text: The question.
        answer: The right answer.
        kind: ``"shape"``, ``"colour"`` or ``"yes or no"``.
    """

    image: int
    text: str
    answer: str
    kind: str


class EasyVqa(NamedTuple):
    """One official split.

    Attributes:
        images: ``(images, 64, 64, 3)`` uint8 RGB.
        questions: About them, in the official order.
        answers: All 13 answers, in the official order.
    """

    images: np.ndarray
    questions: tuple[EasyQuestion, ...]
    answers: tuple[str, ...]


def read_easy_vqa(split: EasySplit) -> EasyVqa:
    """Reads an official split: 4,000 pictures and 38,575 questions to train with, 1,000 and 9,673 to test with.

    Raises:
        InputError: If the package is not installed; the message tells how to get it.

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
    parts = data.images[:first], data.images[first:]
    before = tuple(question for question in data.questions if question.image < first)
    after = tuple(
        question._replace(image=question.image - first) for question in data.questions if question.image >= first
    )
    return EasyVqa(parts[0], before, data.answers), EasyVqa(parts[1], after, data.answers)


def kind_of(answer: str) -> str:
    """Tells what a question is about by its right answer."""
    if answer in ("yes", "no"):
        return YES_OR_NO
    return "shape" if answer in SHAPES else "colour"


def shape_box(image: np.ndarray) -> Box:
    """Returns the box of the one flat-coloured shape on a plain background.

    A pixel belongs to the shape if it is at least half as far from the background's colour as the pixel that is
    furthest from it: so does, on a smoothed edge, one that the shape covers by half.

    Args:
        image: ``(H, W, 3)`` uint8, or float in any range.

    Returns:
        The box, in fractions of the picture: a pixel has an extent, so a shape of one pixel has an area.

    Raises:
        InputError: If the picture has a single colour.

    Example:
        >>> image = np.full((4, 8, 3), 250, np.uint8)
        >>> image[1:3, 2:4] = (255, 0, 0)
        >>> shape_box(image)
        Box(left=0.25, top=0.25, right=0.5, bottom=0.75)
    """
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    colours, counts = np.unique(border, axis=0, return_counts=True)
    background = colours[np.argmax(counts)].astype(np.float64)
    distance = np.abs(image.astype(np.float64) - background).max(axis=-1)
    if not distance.any():
        raise InputError("Expected a picture of a shape, got one of a single colour instead.")
    rows, columns = np.nonzero(distance >= distance.max() / 2)
    height, width = distance.shape
    return Box(
        float(columns.min() / width),
        float(rows.min() / height),
        float((columns.max() + 1) / width),
        float((rows.max() + 1) / height),
    )

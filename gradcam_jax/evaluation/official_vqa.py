"""The accuracy that the official VQA script reports, over ten people's answers."""

import re
from collections.abc import Sequence

from gradcam_jax.evaluation.answers import accuracy_by_kind, vqa_accuracy

_ARTICLES = ("a", "an", "the")
_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_DIGITS = {"none": "0"} | {word: str(number) for number, word in enumerate(_NUMBERS)}
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_FULL_STOP = re.compile(r"\.(?!\d)")
_COMMA_IN_NUMBER = re.compile(r"\d,\d")


def normalized_answer(answer: str) -> str:
    """Brings an answer into the form in which the official script compares them.

    Lower case; no articles, no full stops; numbers up to ten, and "none", as digits; punctuation dropped, or
    turned into a blank where it joins two words. (The official script also puts apostrophes into "dont" and the
    like; the published answers have them already.)

    Example:
        >>> normalized_answer("The two dogs."), normalized_answer("black/white"), normalized_answer("1,000")
        ('2 dogs', 'black white', '1000')

    References:
        GT-Vision-Lab/VQA, ``vqaEval.py``, ``processPunctuation`` and ``processDigitArticle``.
    """
    text = bare = " ".join(answer.split())
    for mark in _PUNCTUATION:
        joins_words = not (f"{mark} " in text or f" {mark}" in text or _COMMA_IN_NUMBER.search(text))
        bare = bare.replace(mark, " " if joins_words else "")
    words = _FULL_STOP.sub("", bare).lower().split()
    return " ".join(_DIGITS.get(word, word) for word in words if word not in _ARTICLES)


def official_accuracy(answer: str, human_answers: Sequence[str]) -> float:
    r"""Returns the VQA accuracy of an answer as the official script computes it.

    The mean of :math:`\min(n / 3, 1)` over every choice of nine of the ten people, n of the nine giving the
    answer: with one of ten in agreement 0.3, with two 0.6, with three 0.9, with more 1. Answers are normalised
    unless all people agree, as there.

    Args:
        answer: The model's.
        human_answers: People's, usually ten.

    Example:
        >>> round(official_accuracy("dog", ["dog", "dog", "cat"] + ["puppy"] * 7), 6)
        0.6

    References:
        GT-Vision-Lab/VQA, ``vqaEval.py``; Antol et al., VQA, arXiv:1505.00468, section 3.
    """
    people = list(human_answers)
    if len(set(people)) > 1:
        answer, people = normalized_answer(answer), [normalized_answer(text) for text in people]
    nines = (people[:left_out] + people[left_out + 1 :] for left_out in range(len(people)))
    return sum(vqa_accuracy(answer, nine) for nine in nines) / len(people)


def official_scores(
    answers: Sequence[str],
    human_answers: Sequence[Sequence[str]],
    answer_types: Sequence[str],
    question_types: Sequence[str],
) -> dict[str, dict[str, float]]:
    """Returns the accuracies of answers to questions, of all and by type.

    Args:
        answers: The model's, one a question.
        human_answers: People's, usually ten a question.
        answer_types: ``"yes/no"``, ``"number"`` or ``"other"`` for each question; empty where it is not known.
        question_types: The first words of each question, as the official files have them.

    Returns:
        ``"official"`` (leave one out, normalised) and ``"vqa_accuracy"`` (min(n / 3, 1) over all ten, texts as
        they are), each a mapping from ``"all"`` and the answer types to a mean; ``"question_types"``, the
        official one by the question's first words.
    """
    pairs = list(zip(answers, human_answers, strict=True))
    official = [official_accuracy(answer, people) for answer, people in pairs]
    simple = [vqa_accuracy(answer, people) for answer, people in pairs]
    types = [answer_type or "unknown" for answer_type in answer_types]
    first_words = accuracy_by_kind(question_types, official)
    return {
        "official": accuracy_by_kind(types, official),
        "vqa_accuracy": accuracy_by_kind(types, simple),
        "question_types": {name: score for name, score in first_words.items() if name != "all"},
    }

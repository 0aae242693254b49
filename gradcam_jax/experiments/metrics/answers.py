"""How often a model answers rightly, beside what one would score without looking at the picture."""

import collections
import re
from collections.abc import Iterable, Mapping, Sequence

Question = tuple[str, str, Sequence[str]]
"""Its kind, its text and the right answers."""

_ARTICLES = ("a", "an", "the")
_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_DIGITS = {"none": "0"} | {word: str(number) for number, word in enumerate(_NUMBERS)}
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_FULL_STOP = re.compile(r"\.(?!\d)")
_COMMA_IN_NUMBER = re.compile(r"\d,\d")


def vqa_accuracy(answer: str, human_answers: Sequence[str]) -> float:
    r"""Returns the VQA accuracy of an answer: :math:`\min(n / 3, 1)`, n of the ten people giving it.

    Example:
        >>> vqa_accuracy("dog", ["dog", "dog", "cat"] + ["puppy"] * 7)
        0.6666666666666666

    References:
        Antol et al., VQA, arXiv:1505.00468, section 3.
    """
    return min(sum(other == answer for other in human_answers) / 3, 1.0)


def accuracy_by_kind(kinds: Sequence[str], right: Sequence[float]) -> dict[str, float]:
    """Returns the mean of a score within each kind, and of all under ``"all"``.

    Example:
        >>> accuracy_by_kind(["a", "b", "b"], [1.0, 0.0, 1.0])
        {'all': 0.6666666666666666, 'a': 1.0, 'b': 0.5}
    """
    groups: dict[str, list[float]] = {"all": list(right)}
    for kind, score in zip(kinds, right, strict=True):
        groups.setdefault(kind, []).append(float(score))
    return {kind: sum(scores) / len(scores) for kind, scores in groups.items() if scores}


def table_by_kind(
    kinds: Sequence[str], scores: Mapping[str, Sequence[float]], *, counted: str
) -> dict[str, dict[str, float]]:
    """Returns the means of several scores within each kind and of all, and, as ``counted``, how many of them.

    Example:
        >>> table_by_kind(["a", "b", "b"], {"accuracy": [1.0, 0.0, 1.0]}, counted="maps")["b"]
        {'accuracy': 0.5, 'maps': 2}
    """
    means = {name: accuracy_by_kind(kinds, values) for name, values in scores.items()}
    counts = collections.Counter({"all": len(kinds)}) + collections.Counter(kinds)
    return {
        kind: {**{name: mean[kind] for name, mean in means.items()}, counted: count}
        for kind, count in counts.items()
    }


class QuestionOnlyBaseline:
    """Answers with what was right most often for the same question in training, without a picture.

    A question never seen gets its kind's most frequent answer.

    Example:
        >>> baseline = QuestionOnlyBaseline([("is there", "A dog?", ("yes",)), ("is there", "A cat?", ("no",)),
        ...                                  ("is there", "A cow?", ("no",))])
        >>> baseline.answer("is there", "A dog?"), baseline.answer("is there", "A yak?")
        ('yes', 'no')
    """

    def __init__(self, training: Iterable[Question]) -> None:
        self._by_text: Mapping[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        self._by_kind: Mapping[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for kind, text, answers in training:
            self._by_text[text].update(answers)
            self._by_kind[kind].update(answers)

    def answer(self, kind: str, text: str) -> str:
        """Returns the most frequent answer; an empty text if the kind was never seen either."""
        counts = self._by_text.get(text) or self._by_kind.get(kind)
        return counts.most_common(1)[0][0] if counts else ""


def answer_table(
    answers: Sequence[str], questions: Sequence[Question], baseline: QuestionOnlyBaseline
) -> dict[str, dict[str, float]]:
    """Returns ``accuracy``, the baseline's as ``question_only``, and ``questions``, by kind and of ``"all"``."""
    scores = {
        "accuracy": [answer in right for answer, (_, _, right) in zip(answers, questions, strict=True)],
        "question_only": [baseline.answer(kind, text) in right for kind, text, right in questions],
    }
    return table_by_kind([kind for kind, *_ in questions], scores, counted="questions")


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
    """Returns mean scores of answers, of all and by type.

    ``"official"`` (leave one out, normalised) and ``"vqa_accuracy"`` (all ten people, texts as they are) go from
    ``"all"`` and the answer types, ``"unknown"`` where one is empty, to a mean; ``"question_types"``, the official
    accuracy, from the questions' first words.
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

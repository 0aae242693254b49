"""How often a model answers rightly, beside what one would score without looking at the picture."""

import collections
from collections.abc import Iterable, Mapping, Sequence

Question = tuple[str, str, Sequence[str]]
"""Its kind, its text and the right answers."""


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
    """Returns the means of several scores within each kind, and of all, and how many each is the mean of.

    Args:
        kinds: Of every question, or whatever is scored.
        scores: Name -> a score for each.
        counted: What is scored, as the column of the counts is called.

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
        """Counts the answers to the training questions."""
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
    """Returns the accuracy of answers by kind of question, beside that of the question alone.

    Args:
        answers: The model's, one a question.
        questions: The questions.
        baseline: What would be answered without the picture.

    Returns:
        Kind, and ``"all"`` -> ``accuracy``, ``question_only`` and the number of ``questions``.
    """
    scores = {
        "accuracy": [answer in right for answer, (_, _, right) in zip(answers, questions, strict=True)],
        "question_only": [baseline.answer(kind, text) in right for kind, text, right in questions],
    }
    return table_by_kind([kind for kind, *_ in questions], scores, counted="questions")

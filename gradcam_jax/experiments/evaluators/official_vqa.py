"""Answers the official VQA questions, in the file that the official script takes, and scores the answers."""

import json
from collections.abc import Iterator
from pathlib import Path

from gradcam_jax.experiments.data.question_sets import QuestionSet, encode_question_set
from gradcam_jax.experiments.evaluators.findings import Finding
from gradcam_jax.experiments.metrics.answers import official_scores
from gradcam_jax.experiments.reporting import Progress
from gradcam_jax.experiments.training.frozen_features import photo_features
from gradcam_jax.experiments.training.vqa_head import best_answers
from gradcam_jax.formats.whole_file import write_whole
from gradcam_jax.zoo import Loaded


def write_answers(loaded: Loaded, data: QuestionSet, work: Path, path: Path, progress: Progress) -> list[str]:
    """Answers questions and writes ``[{"question_id": ..., "answer": ...}, ...]``; returns the answers."""
    features = photo_features(loaded.name, data.photos, work, progress)
    encoded = encode_question_set(data, loaded.words, loaded.labels)
    head = {name: leaf for name, leaf in loaded.variables["params"].items() if name != "cnn"}
    answers = [loaded.labels.entries[index] for index in best_answers(loaded.model, head, features, encoded)]
    results = [
        {"question_id": question.question_id, "answer": answer}
        for question, answer in zip(data.questions, answers, strict=True)
    ]
    write_whole(path, json.dumps(results, ensure_ascii=False))
    return answers


def scores(answers: list[str], data: QuestionSet) -> Iterator[Finding]:
    """Yields the official accuracies of answers to questions, which need people's."""
    yield "questions", len(answers)
    yield from official_scores(
        answers,
        [question.answers for question in data.questions],
        [question.answer_type for question in data.questions],
        [question.question_type for question in data.questions],
    ).items()

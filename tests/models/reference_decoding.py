"""Beam search as plain, slow Python: lists, one beam at a time, with every rule of neuraltalk2."""

from collections.abc import Callable
from typing import Any

import numpy as np

SlowStep = Callable[[Any, int], tuple[Any, np.ndarray]]


def slow_beam_search(step: SlowStep, state: Any, width: int, end: int, steps: int, exponent: float = 0.0):
    """Returns every finished caption as (words, log-probability), best first."""
    beams = [((), 0.0, *step(state, end))]
    finished = []
    for time in range(steps):
        candidates = []
        for words, log_prob, state, log_probs in beams:
            for word in np.argsort(-log_probs, kind="stable")[:width]:
                candidates.append((words, int(word), log_prob + float(log_probs[word]), state))
        candidates.sort(key=lambda candidate: -candidate[2])
        beams = []
        for words, word, log_prob, state in candidates[:width]:
            if end not in words and (word == end or time == steps - 1):
                caption = words if word == end else (*words, word)
                finished.append((caption, log_prob, log_prob / (time + 1) ** exponent))
            beams.append(((*words, word), log_prob, *step(state, word)))
    finished.sort(key=lambda caption: -caption[2])
    return [(caption, log_prob) for caption, log_prob, _ in finished]


def slow_greedy(step: SlowStep, state: Any, end: int, steps: int):
    """Returns the path of the most probable words as (words, log-probability)."""
    words, total, token = [], 0.0, end
    for _ in range(steps):
        state, log_probs = step(state, token)
        token = int(np.argmax(log_probs))
        total += float(log_probs[token])
        if token == end:
            break
        words.append(token)
    return tuple(words), total

"""How good captions are: agreement with people's (BLEU, ROUGE-L, CIDEr) and perplexity."""

import collections
import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradcam_jax.errors import InputError


def caption_scores(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Compares one caption a photo with what people wrote, by the scorers of COCO's caption challenge.

    Captions are compared as they are, split at blanks: lower case, without punctuation. (The challenge's own
    tokeniser is a Java program that does the same to them.)

    Returns:
        ``bleu_1`` to ``bleu_4``, ``rouge_l`` and ``cider``: BLEU and ROUGE-L from 0 to 1, CIDEr from 0 to 10.

    References:
        Papineni et al. 2002; Lin 2004; Vedantam et al., arXiv:1411.5726; tylin/coco-caption.
    """
    if len(candidates) != len(references):
        raise InputError(f"Expected a caption a photo, got {len(candidates)} for {len(references)} photos.")
    people = {index: list(texts) for index, texts in enumerate(references)}
    model = {index: [text] for index, text in enumerate(candidates)}
    bleu, _ = _scorer("bleu.bleu").Bleu(4).compute_score(people, model, verbose=0)
    rouge, _ = _scorer("rouge.rouge").Rouge().compute_score(people, model)
    cider, _ = _scorer("cider.cider").Cider().compute_score(people, model)
    scores = {f"bleu_{order}": round(float(value), 9) for order, value in enumerate(bleu, 1)}
    return scores | {"rouge_l": float(rouge), "cider": float(cider)}


class CiderReward:
    """CIDEr of single captions, for training by it: from 0 to 10.

    How rare words are is counted once, over all photos' references.

    References:
        Vedantam et al., arXiv:1411.5726; tylin/coco-caption, ``cider_scorer.py``.
    """

    def __init__(self, references: Sequence[Sequence[str]]) -> None:
        """Takes every photo's references, words split at blanks."""
        cider_scorer = _scorer("cider.cider_scorer")
        self._words_of = cider_scorer.cook_test
        self._references = [cider_scorer.cook_refs(list(texts)) for texts in references]
        self._scorer = cider_scorer.CiderScorer()
        self._scorer.crefs = self._references
        self._scorer.compute_doc_freq()
        # A Counter keeps nothing of the words that are asked for and were never counted.
        self._scorer.document_frequency = collections.Counter(self._scorer.document_frequency)

    def __call__(self, captions: Sequence[str], photos: Sequence[int]) -> np.ndarray:
        """Scores captions of photos, by the photos' indices: ``(n,)`` float32."""
        return np.concatenate(
            [
                self._scores(captions[start : start + len(self._references)], photos[start:])
                for start in range(0, len(captions), len(self._references))
            ]
        )

    def _scores(self, captions: Sequence[str], photos: Sequence[int]) -> np.ndarray:
        """Scores at most as many captions as there are photos.

        The scorer takes the number of its references for the number of photos that words were counted on, so that
        it gets them all: it stops at the last caption.
        """
        references = [self._references[photo] for photo in photos[: len(captions)]]
        self._scorer.crefs = references + self._references[len(captions) :]
        self._scorer.ctest = [self._words_of(caption) for caption in captions]
        return np.array(self._scorer.compute_cider(), np.float32)


def perplexity(log_probs: np.ndarray, counted: np.ndarray) -> float:
    r"""Returns :math:`\exp(-\frac{1}{N} \sum \log p)` over the counted steps, arrays ``(captions, steps)``.

    Example:
        >>> round(perplexity(np.log([[0.5, 0.25, 1.0]]), np.array([[True, True, False]])), 3)
        2.828
    """
    counted = np.asarray(counted, bool)
    return float(np.exp(-np.mean(np.asarray(log_probs, np.float64)[counted])))


def nearest_neighbour_captions(
    features: np.ndarray, known_features: np.ndarray, known_captions: Sequence[Sequence[str]]
) -> list[str]:
    """Gives each photo the first caption of the known photo whose features ``(F,)`` are most similar (cosine).

    The baseline that needs no language model.
    """

    def unit(values: np.ndarray) -> np.ndarray:
        return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)

    nearest = np.argmax(unit(features) @ unit(known_features).T, axis=1)
    return [str(known_captions[index][0]) for index in nearest]


def _scorer(module: str) -> Any:
    try:
        return importlib.import_module(f"pycocoevalcap.{module}")
    except ImportError as error:
        raise InputError("Scoring captions needs pycocoevalcap:  pip install pycocoevalcap") from error

"""How good captions are: agreement with people's (BLEU, ROUGE-L, CIDEr) and perplexity."""

from collections.abc import Sequence

import numpy as np

from gradcam_jax.errors import InputError


def caption_scores(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Compares one caption a photo with what people wrote, by the scorers of COCO's caption challenge.

    Captions are compared as they are, split at blanks: lower case, without punctuation. (The challenge's own
    tokeniser is a Java program that does the same to them.)

    Args:
        candidates: One caption a photo.
        references: For each photo, people's captions.

    Returns:
        ``bleu_1`` to ``bleu_4``, ``rouge_l`` and ``cider``: BLEU and ROUGE-L from 0 to 1, CIDEr from 0 to 10.

    Raises:
        InputError: If the numbers of photos differ, or the scorer is not installed.

    References:
        Papineni et al. 2002; Lin 2004; Vedantam et al., arXiv:1411.5726; tylin/coco-caption.
    """
    if len(candidates) != len(references):
        raise InputError(f"Expected a caption a photo, got {len(candidates)} for {len(references)} photos.")
    try:
        from pycocoevalcap.bleu.bleu import Bleu
        from pycocoevalcap.cider.cider import Cider
        from pycocoevalcap.rouge.rouge import Rouge
    except ImportError as error:
        raise InputError("Scoring captions needs pycocoevalcap: pip install gradcam-jax[train].") from error
    people = {index: list(texts) for index, texts in enumerate(references)}
    model = {index: [text] for index, text in enumerate(candidates)}
    bleu, _ = Bleu(4).compute_score(people, model, verbose=0)
    rouge, _ = Rouge().compute_score(people, model)
    cider, _ = Cider().compute_score(people, model)
    scores = {f"bleu_{order}": round(float(value), 9) for order, value in enumerate(bleu, 1)}
    return scores | {"rouge_l": float(rouge), "cider": float(cider)}


def perplexity(log_probs: np.ndarray, counted: np.ndarray) -> float:
    r"""Returns :math:`\exp(-\frac{1}{N} \sum \log p)` over the words and the END of all captions.

    Args:
        log_probs: Of each step's token, ``(captions, steps)``.
        counted: Which steps count, of the same shape.

    Example:
        >>> round(perplexity(np.log([[0.5, 0.25, 1.0]]), np.array([[True, True, False]])), 3)
        2.828
    """
    counted = np.asarray(counted, bool)
    return float(np.exp(-np.mean(np.asarray(log_probs, np.float64)[counted])))


def nearest_neighbour_captions(
    features: np.ndarray, known_features: np.ndarray, known_captions: Sequence[Sequence[str]]
) -> list[str]:
    """Gives each photo the first caption of the known photo with the most similar features (cosine).

    The baseline that needs no language model.

    Args:
        features: ``(photos, F)``.
        known_features: ``(known, F)``.
        known_captions: For each known photo, its captions.
    """

    def unit(values: np.ndarray) -> np.ndarray:
        return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)

    nearest = np.argmax(unit(features) @ unit(known_features).T, axis=1)
    return [str(known_captions[index][0]) for index in nearest]


def inside_over_outside(heatmap: np.ndarray, inside: np.ndarray) -> float:
    """Returns the map's mean inside given boxes over its mean outside: the paper's caption test.

    Args:
        heatmap: Rectified map, ``(H, W)``.
        inside: Which positions lie in a box, ``(H, W)`` bool; some must, and some must not.

    Returns:
        The ratio: 1 for a flat map, also for one without any evidence; infinity if all of it is inside.

    Raises:
        InputError: If the boxes cover all or nothing.

    References:
        Selvaraju et al., Grad-CAM, arXiv:1610.02391, section 7.1.
    """
    inside = np.asarray(inside, bool)
    if inside.all() or not inside.any():
        raise InputError("Expected boxes that cover a part of the picture, not all of it and not nothing.")
    within, outside = float(np.mean(heatmap[inside])), float(np.mean(heatmap[~inside]))
    if not outside:
        return float("inf") if within else 1.0
    return within / outside

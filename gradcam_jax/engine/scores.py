"""Scores: what is explained, as pure functions ``score(outputs, target) -> scalar`` of one example.

A target is data, so another one compiles nothing; in :func:`gradcam_jax.explain` it has leading axes
``(n, targets)``. :func:`gradcam_jax.class_score` is the usual one, :func:`gradcam_jax.token_score` a text's.
A score of one's own is a function like these.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gradcam_jax.engine.spec import TargetScore, class_score


def difference_score(logits: jax.Array, classes: jax.Array) -> jax.Array:
    """Returns by how much one class's logit exceeds another's: why this rather than that.

    Args:
        logits: ``(classes,)``.
        classes: This and that, ``(2,)`` int.

    Example:
        >>> import jax.numpy as jnp
        >>> difference_score(jnp.array([1.0, 5.0, 2.0]), jnp.array([1, 2]))
        Array(3., dtype=float32)
    """
    return logits[classes[0]] - logits[classes[1]]


def probability_score(logits: jax.Array, class_index: jax.Array) -> jax.Array:
    """Returns the probability of one class, after the softmax.

    Args:
        logits: ``(classes,)``.
        class_index: A scalar int; a negative one stands for no target, whose score is 0.

    Example:
        >>> import jax.numpy as jnp
        >>> probability_score(jnp.array([0.0, 0.0]), 1)
        Array(0.5, dtype=float32)
    """
    return class_score(jax.nn.softmax(logits), class_index)


def softened_score(logits: jax.Array, class_index: jax.Array, *, temperature: float = 4.0) -> jax.Array:
    r"""Returns the log-probability of one class at a temperature, times it: why this class and not its rivals.

    .. math:: S = \tau \log \mathrm{softmax}(y / \tau)_c, \quad
        \frac{\partial S}{\partial y} = e_c - \mathrm{softmax}(y / \tau)

    A logit's map also holds what speaks for all classes alike. At a temperature of 1 the map is of the
    log-probability, and next to nothing where the model is sure; the higher the temperature, the more classes this
    one is compared with. Other settings by ``functools.partial``, made once.

    Args:
        logits: ``(classes,)``.
        class_index: A scalar int; a negative one stands for no target, whose score is 0.
        temperature: :math:`\tau`, over 0; at infinity the score is the logit itself.

    Example:
        >>> import jax.numpy as jnp
        >>> softened_score(jnp.array([0.0, 0.0]), 1, temperature=2.0).round(3)
        Array(-1.386, dtype=float32)

    References:
        Hinton et al., Distilling the Knowledge in a Neural Network, arXiv:1503.02531.
    """
    if math.isinf(temperature):
        return class_score(logits, class_index)
    return class_score(temperature * jax.nn.log_softmax(logits / temperature), class_index)


@functools.cache
def softened(temperature: float) -> TargetScore:
    """Returns :func:`softened_score` at a temperature, the same function each time; the logit's at infinity."""
    return class_score if math.isinf(temperature) else functools.partial(softened_score, temperature=temperature)


def is_of_a_class(score: TargetScore) -> bool:
    """Tells whether a score is that of one class by its index: its logit, softened or not."""
    return score is class_score or (isinstance(score, functools.partial) and score.func is softened_score)


def finer_score(logits: jax.Array, class_index: jax.Array, *, rivals: int = 3, strength: float = 1.0) -> jax.Array:
    r"""Returns by how much a class's logit exceeds those nearest to it: what Finer-CAM explains.

    .. math:: S = \frac{\sum_d p_d\, (y^c - \gamma\, y^d)}{\sum_d p_d}

    over the d whose logits are nearest to the class's, with their probabilities p. The gradient passes the
    probabilities, as in the published program. With any method of maps: ``explain(..., score=finer_score)`` is
    Finer-CAM of Grad-CAM; other settings by ``functools.partial``, made once.

    Args:
        logits: ``(classes,)``.
        class_index: A scalar int; a negative one stands for no target, whose score is 0.
        rivals: How many other classes; all, where there are fewer.
        strength: The factor :math:`\gamma`; 0 is the class's own logit.

    Example:
        >>> import jax.numpy as jnp
        >>> finer_score(jnp.array([1.0, 5.0, 4.0, -9.0]), 1, rivals=1)
        Array(1., dtype=float32)

    References:
        Zhang et al., Finer-CAM, arXiv:2501.11309; ``FinerWeightedTarget`` of pytorch-grad-cam.
    """
    at = jnp.maximum(class_index, 0)
    own = logits[at]
    distances = jnp.abs(logits - own).at[at].set(jnp.inf)
    nearest = jax.lax.top_k(-distances, min(rivals, logits.shape[0] - 1))[1]
    shares = jax.nn.softmax(logits)[nearest]
    shares = shares / (jnp.sum(shares) + 1e-9)
    score = jnp.sum(shares * (own - strength * logits[nearest]))
    return jnp.where(class_index >= 0, score, jnp.zeros_like(score))


def similarity_score(embedding: jax.Array, concept: jax.Array) -> jax.Array:
    """Returns the cosine of an embedding and a concept's: of a text's, another image's, a unit vector of one unit.

    Args:
        embedding: ``(k,)``.
        concept: ``(k,)``.

    Example:
        >>> import jax.numpy as jnp
        >>> similarity_score(jnp.array([0.0, 2.0]), jnp.array([0.0, 3.0]))
        Array(1., dtype=float32)
    """
    return jnp.vdot(_unit(embedding), _unit(concept))


def _unit(vector: jax.Array) -> jax.Array:
    """Scales to length 1, without NaN of a vector of zeros."""
    squared = jnp.vdot(vector, vector)
    return vector * jax.lax.rsqrt(jnp.where(squared > 0, squared, jnp.ones_like(squared)))


def segmentation_score(logits: jax.Array, target: Mapping[str, jax.Array]) -> jax.Array:
    """Returns a class's mean logit over a mask.

    Args:
        logits: ``(H, W, classes)``.
        target: ``{"label": () int, "mask": (H, W)}``; the mask weighs the pixels.

    Example:
        >>> import jax.numpy as jnp
        >>> logits = jnp.array([[[0.0, 1.0], [0.0, 3.0]]])
        >>> segmentation_score(logits, {"label": 1, "mask": jnp.array([[0.0, 1.0]])})
        Array(3., dtype=float32)

    References:
        Vinogradova et al., Towards Interpretable Semantic Segmentation via Grad-CAM, arXiv:2002.11434.
    """
    mask = target["mask"].astype(logits.dtype)
    return jnp.sum(logits[..., target["label"]] * mask) / jnp.maximum(jnp.sum(mask), jnp.finfo(mask.dtype).tiny)


def detection_score(outputs: tuple[jax.Array, jax.Array], target: Mapping[str, jax.Array]) -> jax.Array:
    """Returns a class's score at the detection that overlaps a box most, by intersection over union.

    Args:
        outputs: Boxes ``(d, 4)`` as left, top, right, bottom, and their classes' scores ``(d, classes)``.
        target: ``{"box": (4,), "label": () int}``.

    Example:
        >>> import jax.numpy as jnp
        >>> boxes, scores = jnp.array([[0.0, 0, 2, 2], [4, 4, 6, 6]]), jnp.array([[0.9, 0.1], [0.2, 0.7]])
        >>> detection_score((boxes, scores), {"box": jnp.array([4.0, 4, 6, 7]), "label": 1})
        Array(0.7, dtype=float32)
    """
    boxes, scores = outputs
    box = target["box"].reshape(1, 4).astype(boxes.dtype)
    corners = jnp.maximum(boxes[:, :2], box[:, :2]), jnp.minimum(boxes[:, 2:], box[:, 2:])
    shared = _area(*corners)
    overlap = shared / (_area(boxes[:, :2], boxes[:, 2:]) + _area(box[:, :2], box[:, 2:]) - shared)
    return scores[jnp.argmax(overlap), target["label"]]


def _area(first: jax.Array, last: jax.Array) -> jax.Array:
    return jnp.prod(jnp.maximum(last - first, jnp.zeros((), first.dtype)), axis=-1)


@dataclasses.dataclass(frozen=True)
class PartScore:
    """A score of one part of the outputs; equal for equal parts and scores, so that programs are found again.

    Attributes:
        part: The key, the place or the field.
        score: The score of that part.
    """

    part: str | int
    score: TargetScore

    def take(self, outputs: Any) -> Any:
        """Returns the part of the outputs."""
        is_field = isinstance(self.part, str) and hasattr(outputs, self.part)
        return getattr(outputs, str(self.part)) if is_field else outputs[self.part]

    def __call__(self, outputs: Any, target: Any) -> jax.Array:
        """Returns the part's score."""
        return self.score(self.take(outputs), target)


def score_of(part: str | int, score: TargetScore = class_score) -> TargetScore:
    """Returns a score of one part of the outputs, of a tuple, a dictionary or a dataclass.

    Args:
        part: The key, the place or the field.
        score: The score of that part.

    Returns:
        ``score(outputs, target)``; equal for the same arguments.

    Example:
        >>> import jax.numpy as jnp
        >>> score_of("logits")({"logits": jnp.array([1.0, 5.0])}, 1)
        Array(5., dtype=float32)
    """
    return PartScore(part, score)

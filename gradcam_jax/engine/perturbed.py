"""Maps that need many evaluations of the model: Ablation-CAM and Score-CAM, occlusion and RISE, of a batch.

All targets of an image share every evaluation. Ablation-CAM evaluates the layers after the mapped one alone.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradcam_jax.attribution.channel_perturbation import ablation_weights, score_weights
from gradcam_jax.attribution.image_perturbation import occlusion_map, rise_map
from gradcam_jax.attribution.layouts import Layout
from gradcam_jax.engine.evaluations import Asked, Example, explain_by_evaluations
from gradcam_jax.engine.explanation import Explanation
from gradcam_jax.engine.scores import probability_score
from gradcam_jax.engine.spec import TargetScore, class_score
from gradcam_jax.interception.tapped import Tapped


def ablation_cam(
    forward: Tapped,
    images: jax.Array,
    targets: Any,
    *inputs: Any,
    score: TargetScore = class_score,
    layout: Layout | None = None,
    chunk_size: int = 64,
) -> Explanation:
    r"""Weighs each channel by how much of the score is lost without it: Ablation-CAM, by the head alone.

    .. math:: L^c_{ij} = \sum_k \frac{y^c - y_k^c}{|y^c|} A_{ij}^k

    One forward pass an image, and one evaluation of the layers after the mapped one a channel, for all targets
    together. It is exact: what lies before the layer does not change.

    Args:
        forward: The model tapped at the layer to map.
        images: As for :func:`gradcam_jax.explain`.
        targets: As for :func:`gradcam_jax.explain`.
        *inputs: As for :func:`gradcam_jax.explain`.
        score: As for :func:`gradcam_jax.explain`.
        layout: As for :func:`gradcam_jax.explain`.
        chunk_size: Channels ablated at once, at most.

    Returns:
        A :class:`gradcam_jax.Explanation` with signed maps ``(n, targets, h, w)``.

    Raises:
        InputError: As for :func:`gradcam_jax.explain`; if the model is tapped at several layers.
        LayerError: If the layer is not reached, or the score cannot depend on it.

    Example:
        >>> import gradcam_jax as gc, jax.numpy as jnp
        >>> forward = gc.tapped_functions({"conv": lambda x: x, "head": lambda x: x.sum((0, 1))}, "conv")
        >>> ablation_cam(forward, jnp.ones((1, 2, 2, 3)), jnp.array([[2]])).cam[0, 0]
        Array([[1., 1.],
               [1., 1.]], dtype=float32)

    References:
        Desai and Ramaswamy, Ablation-CAM, WACV 2020.
    """
    asked = Asked(score, layout, _Ablation(chunk_size), of_layer=True)
    return explain_by_evaluations(forward, images, targets, inputs, asked)


def score_cam(
    forward: Tapped,
    images: jax.Array,
    targets: Any,
    *inputs: Any,
    score: TargetScore = class_score,
    layout: Layout | None = None,
    chunk_size: int = 32,
) -> Explanation:
    r"""Weighs each channel by the score of the image seen through it: Score-CAM.

    .. math:: L^c_{ij} = \sum_k w_k^c A_{ij}^k, \qquad w_k^c = \mathrm{softmax}_k\, y^c(X \circ H_k)

    The image changes, so the whole model is evaluated once a channel, for all targets together: the dearest of the
    maps of a layer. See :func:`gradcam_jax.attribution.channel_perturbation.score_weights` for the masks.

    Args:
        forward: The model tapped at the layer to map.
        images: As for :func:`gradcam_jax.explain`, with their channels last.
        targets: As for :func:`gradcam_jax.explain`.
        *inputs: As for :func:`gradcam_jax.explain`.
        score: As for :func:`gradcam_jax.explain`.
        layout: As for :func:`gradcam_jax.explain`.
        chunk_size: Channels at once, at most.

    Returns:
        A :class:`gradcam_jax.Explanation` with maps ``(n, targets, h, w)``.

    Raises:
        InputError: As for :func:`gradcam_jax.explain`; if the model is tapped at several layers.
        ValueError: If the layer's positions are not along the image's axes.

    References:
        Wang et al., Score-CAM, arXiv:1910.01279.
    """
    asked = Asked(score, layout, _Score(chunk_size), of_layer=True)
    return explain_by_evaluations(forward, images, targets, inputs, asked)


def occlusion(
    forward: Tapped,
    images: jax.Array,
    targets: Any,
    *inputs: Any,
    score: TargetScore = class_score,
    window: Sequence[int] = (15, 15),
    stride: Sequence[int] = (8, 8),
    fill: float = 0.0,
    chunk_size: int = 32,
) -> Explanation:
    """Hides one window of the image after the other, and maps how much of the score is lost.

    See :func:`gradcam_jax.attribution.image_perturbation.occlusion_map` for the equation.

    Args:
        forward: A tapped model; it needs no layer.
        images: As for :func:`gradcam_jax.explain`, with their channels last.
        targets: As for :func:`gradcam_jax.explain`.
        *inputs: As for :func:`gradcam_jax.explain`.
        score: As for :func:`gradcam_jax.explain`.
        window: Height and width of the window, in the image's pixels.
        stride: From one window to the next.
        fill: What hides, in the values that the model takes.
        chunk_size: Windows at once, at most.

    Returns:
        A :class:`gradcam_jax.Explanation` with signed maps at the image's resolution, ``(n, targets, H, W)``.

    References:
        Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, arXiv:1311.2901, section 3.
    """
    maker = _Occlusion(tuple(window), tuple(stride), float(fill), chunk_size)
    return explain_by_evaluations(forward, images, targets, inputs, Asked(score, None, maker))


def rise(
    forward: Tapped,
    images: jax.Array,
    targets: Any,
    *inputs: Any,
    key: jax.Array,
    score: TargetScore = probability_score,
    masks: int = 4000,
    cells: int = 7,
    share: float = 0.5,
    chunk_size: int = 32,
) -> Explanation:
    """Shows the image through random masks, and maps the mean of the masks by the scores they leave: RISE.

    See :func:`gradcam_jax.attribution.image_perturbation.rise_map` for the equation.

    Args:
        forward: A tapped model; it needs no layer.
        images: As for :func:`gradcam_jax.explain`, with their channels last.
        targets: As for :func:`gradcam_jax.explain`.
        *inputs: As for :func:`gradcam_jax.explain`.
        key: PRNG key; each image has masks of its own.
        score: As for :func:`gradcam_jax.explain`; unless given a class's probability, as in the paper.
        masks: Their number.
        cells: Of a mask, along each axis.
        share: The probability that a cell is shown.
        chunk_size: Masks at once, at most.

    Returns:
        A :class:`gradcam_jax.Explanation` with maps at the image's resolution, ``(n, targets, H, W)``.

    References:
        Petsiuk et al., RISE, arXiv:1806.07421.
    """
    asked = Asked(score, None, _Rise(masks, cells, share, chunk_size))
    return explain_by_evaluations(forward, images, targets, inputs, asked, key=key)


class _Ablation(NamedTuple):
    chunk_size: int

    def __call__(self, one: Example) -> jax.Array:
        scores_of = one.scores_of_activations
        weights = ablation_weights(scores_of, one.activation, layout=one.layout, chunk_size=self.chunk_size)
        return _weighted(one, weights)


class _Score(NamedTuple):
    chunk_size: int

    def __call__(self, one: Example) -> jax.Array:
        activations = one.layout(one.activation)
        weights = score_weights(one.scores_of_images, one.image, activations, chunk_size=self.chunk_size)
        return _weighted(one, weights)


class _Occlusion(NamedTuple):
    window: tuple[int, ...]
    stride: tuple[int, ...]
    fill: float
    chunk_size: int

    def __call__(self, one: Example) -> jax.Array:
        return occlusion_map(one.scores_of_images, one.image, **self._asdict())


class _Rise(NamedTuple):
    masks: int
    cells: int
    share: float
    chunk_size: int

    def __call__(self, one: Example) -> jax.Array:
        assert one.key is not None
        return rise_map(one.scores_of_images, one.image, one.key, **self._asdict())


def _weighted(one: Example, weights: jax.Array) -> jax.Array:
    activations, weights = one.layout(one.activation).astype(jnp.float32), weights.astype(jnp.float32)
    return jnp.einsum("...k,tk->t...", activations, weights, precision=jax.lax.Precision.HIGHEST)

"""What can be computed of a photo, by the names that ``--methods`` takes.

Most maps are made of one (activations, gradients) pair, which one forward and one backward pass give to all of
them; the others take passes of their own. Grad-CAM, ``cam`` among the results, is always computed; each other map
is a result by its method's name.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np

from gradcam_jax.attribution.channelwise import grad_cam_plusplus, x_grad_cam
from gradcam_jax.attribution.eigen import eigen_cam, eigen_grad_cam
from gradcam_jax.attribution.positionwise import grad_cam_elementwise, hires_cam, layer_cam
from gradcam_jax.engine.averaged import augmented_cam, smooth_grad_cam
from gradcam_jax.engine.explanation import explain
from gradcam_jax.engine.perturbed import ablation_cam, occlusion, rise, score_cam
from gradcam_jax.engine.scores import finer_score, is_of_a_class, probability_score
from gradcam_jax.engine.spec import Spec
from gradcam_jax.errors import lookup
from gradcam_jax.interception.tapped import Tapped

GRAD_CAM, GUIDED_BACKPROP, GUIDED_GRAD_CAM = "grad_cam", "guided_backprop", "guided_grad_cam"
GUIDED = (GUIDED_BACKPROP, GUIDED_GRAD_CAM)

GRADIENT_MAPS: Mapping[str, Callable[..., Any]] = {
    method.__name__: method
    for method in (
        hires_cam,
        grad_cam_plusplus,
        x_grad_cam,
        layer_cam,
        grad_cam_elementwise,
        eigen_cam,
        eigen_grad_cam,
    )
}
"""Maps of activations and gradients besides Grad-CAM."""

EvaluatedMaps = Callable[..., jax.Array]
"""``(spec, forward, images, targets, *inputs) -> maps`` of a batch, ``(n, targets, h, w)``."""


def _finer_cam(spec: Spec, *arguments: Any) -> jax.Array:
    assert is_of_a_class(spec.score)
    return explain(*arguments, score=finer_score, layout=spec.layout).cam


def _ablation_cam(spec: Spec, *arguments: Any) -> jax.Array:
    return ablation_cam(*arguments, score=spec.score, layout=spec.layout).cam


def _score_cam(spec: Spec, *arguments: Any) -> jax.Array:
    return score_cam(*arguments, score=spec.score, layout=spec.layout).cam


def _smooth_grad_cam(spec: Spec, *arguments: Any) -> jax.Array:
    return smooth_grad_cam(*arguments, key=jax.random.key(0), score=spec.score, layout=spec.layout).cam


def _augmented_cam(spec: Spec, *arguments: Any) -> jax.Array:
    return augmented_cam(*arguments, score=spec.score, layout=spec.layout).cam


def _occlusion(spec: Spec, forward: Tapped, images: jax.Array, *arguments: Any) -> jax.Array:
    """Hides a quarter of each side at a time, in steps of a sixteenth."""
    window, stride = ([max(length // parts, 1) for length in images.shape[1:-1]] for parts in (4, 16))
    return occlusion(forward, images, *arguments, score=spec.score, window=window, stride=stride).cam


def _rise(spec: Spec, *arguments: Any) -> jax.Array:
    score = probability_score if is_of_a_class(spec.score) else spec.score
    return rise(*arguments, key=jax.random.key(0), score=score).cam


EVALUATED_MAPS: Mapping[str, EvaluatedMaps] = {
    "finer_cam": _finer_cam,
    "ablation_cam": _ablation_cam,
    "score_cam": _score_cam,
    "smooth_grad_cam": _smooth_grad_cam,
    "augmented_cam": _augmented_cam,
    "occlusion": _occlusion,
    "rise": _rise,
}
"""Maps that take passes of their own."""

TITLES: Mapping[str, str] = {
    "hires_cam": "HiResCAM",
    "grad_cam_plusplus": "Grad-CAM++",
    "x_grad_cam": "XGrad-CAM",
    "layer_cam": "LayerCAM",
    "grad_cam_elementwise": "Grad-CAM element-wise",
    "eigen_cam": "EigenCAM",
    "eigen_grad_cam": "EigenGrad-CAM",
    "finer_cam": "Finer-CAM",
    "ablation_cam": "Ablation-CAM",
    "score_cam": "Score-CAM",
    "smooth_grad_cam": "SmoothGrad-CAM",
    "augmented_cam": "Grad-CAM, augmented",
    "occlusion": "occlusion",
    "rise": "RISE",
}
"""What the maps besides Grad-CAM are called under pictures."""

DEFAULT_METHODS = (GRAD_CAM, *GUIDED)
"""What is computed of one photo unless methods are named."""

METHODS = (GRAD_CAM, *TITLES, *GUIDED)
"""What can be computed of a photo; Grad-CAM always is."""


OF_CLASSES = ("finer_cam",)
"""Those that compare classes or answers, and say nothing of captions."""


def parse_methods(text: str) -> tuple[str, ...]:
    """Reads a comma-separated list of methods; Grad-CAM is always computed.

    Raises:
        InputError: If there is no such method; the nearest are listed.

    Example:
        >>> parse_methods("guided_grad_cam, layer_cam")
        ('grad_cam', 'layer_cam', 'guided_grad_cam')
    """
    named = [part.strip() for part in text.split(",") if part.strip()]
    for name in named:
        lookup(dict.fromkeys(METHODS), name, "method")
    return tuple(method for method in METHODS if method in (GRAD_CAM, *named))


def with_gradient_maps(spec: Spec, methods: Iterable[str]) -> Spec:
    """Adds the maps that are named to a specification, at the layer of its first map."""
    _, layer, _ = spec.maps[0]
    added = tuple((name, layer, GRADIENT_MAPS[name]) for name in methods if name in GRADIENT_MAPS)
    return spec._replace(maps=spec.maps + added)


def other_maps(results: Mapping[str, np.ndarray], place: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """Returns one target's maps besides Grad-CAM, those that were computed.

    Args:
        results: One photo's.
        place: The target's place among them.
        prefix: What the names among the results begin with.
    """
    return {name: np.asarray(results[prefix + name][place]) for name in TITLES if prefix + name in results}


def evaluated_maps(
    spec: Spec,
    forward: Tapped,
    images: jax.Array,
    targets: Any,
    inputs: tuple[Any, ...],
    methods: Iterable[str],
) -> dict[str, jax.Array]:
    """Computes those maps of a batch that take passes of their own.

    Args:
        spec: The score, and the layout of the mapped layer.
        forward: The model tapped at the mapped layer.
        images: What the model takes, ``(n, H, W, 3)``.
        targets: Tree with leading axes ``(n, targets)``.
        inputs: Further inputs of the model.
        methods: Names; those that need no pass of their own are left out.

    Returns:
        Name -> ``(n, targets, h, w)``.
    """
    own = {name: EVALUATED_MAPS[name] for name in methods if name in EVALUATED_MAPS}
    return {name: make(spec, forward, images, targets, *inputs) for name, make in own.items()}

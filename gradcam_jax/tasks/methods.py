"""What can be computed of a photo, by the names that ``--methods`` takes.

Maps are made of one (activations, gradients) pair, which one forward and one backward pass give to all of them.
Grad-CAM, ``cam`` among the results, is always computed; each other map is a result by its method's name.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from gradcam_jax.attribution.channelwise import grad_cam_plusplus, x_grad_cam
from gradcam_jax.attribution.eigen import eigen_cam, eigen_grad_cam
from gradcam_jax.attribution.positionwise import grad_cam_elementwise, hires_cam, layer_cam
from gradcam_jax.engine.spec import Spec
from gradcam_jax.errors import lookup

GRAD_CAM, GUIDED_BACKPROP, GUIDED_GRAD_CAM = "grad_cam", "guided_backprop", "guided_grad_cam"

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

TITLES: Mapping[str, str] = {
    "hires_cam": "HiResCAM",
    "grad_cam_plusplus": "Grad-CAM++",
    "x_grad_cam": "XGrad-CAM",
    "layer_cam": "LayerCAM",
    "grad_cam_elementwise": "Grad-CAM element-wise",
    "eigen_cam": "EigenCAM",
    "eigen_grad_cam": "EigenGrad-CAM",
}
"""What the maps besides Grad-CAM are called under pictures."""

DEFAULT_METHODS = (GRAD_CAM, GUIDED_BACKPROP, GUIDED_GRAD_CAM)
"""What is computed of one photo unless methods are named."""

METHODS = (GRAD_CAM, *TITLES, GUIDED_BACKPROP, GUIDED_GRAD_CAM)
"""What can be computed of a photo; Grad-CAM always is."""


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

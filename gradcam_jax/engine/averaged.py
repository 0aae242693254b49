"""Maps averaged over variants of the image: noisy ones (SmoothGrad-CAM), flipped and brightened ones.

Whatever method makes the maps. Targets are chosen from the image as it is, and outputs and scores are its own.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gradcam_jax.attribution.layouts import Layout
from gradcam_jax.attribution.maps import grad_cam
from gradcam_jax.attribution.pixels import noisy
from gradcam_jax.engine.explanation import Explanation, explain
from gradcam_jax.engine.spec import MapMethod, TargetScore, class_score
from gradcam_jax.errors import InputError
from gradcam_jax.interception.tapped import Tapped


def smooth_grad_cam(
    forward: Tapped,
    images: jax.Array,
    targets: Any,
    *inputs: Any,
    key: jax.Array,
    score: TargetScore = class_score,
    layout: Layout | None = None,
    method: MapMethod | Mapping[str, MapMethod] = grad_cam,
    samples: int = 8,
    noise: float = 0.15,
) -> Explanation:
    r"""Averages the maps of noisy copies of each image: SmoothGrad of a class activation map.

    .. math:: L^c = \frac{1}{n} \sum_{i=1}^n L^c(x + \epsilon_i), \qquad
              \epsilon_i \sim \mathcal{N}(0, \sigma^2), \quad \sigma = s\,(\max x - \min x)

    Smooth Grad-CAM++ averages powers of the gradients instead of maps. One forward and backward pass a copy.

    Args:
        forward: As for :func:`gradcam_jax.explain`.
        images: As for :func:`gradcam_jax.explain`.
        targets: As for :func:`gradcam_jax.explain`.
        *inputs: As for :func:`gradcam_jax.explain`.
        key: PRNG key; each image has noise of its own.
        score: As for :func:`gradcam_jax.explain`.
        layout: As for :func:`gradcam_jax.explain`.
        method: As for :func:`gradcam_jax.explain`.
        samples: Noisy copies n.
        noise: Their standard deviation s, as a share of the image's range.

    Returns:
        A :class:`gradcam_jax.Explanation` whose maps are means of signed maps.

    Raises:
        InputError: As for :func:`gradcam_jax.explain`; if there are no samples.

    References:
        Smilkov et al., SmoothGrad, arXiv:1706.03825; Omeiza et al., Smooth Grad-CAM++, arXiv:1908.01224.
    """
    if samples < 1:
        raise InputError(f"Expected 1 sample or more, got {samples} instead.")
    explanation = explain(forward, images, targets, *inputs, score=score, layout=layout, method=method)
    options = _hashable(score=score, layout=layout, method=method)
    keys = jax.random.split(key, samples)
    cam = _smoothed(forward, jnp.asarray(images), explanation.targets, inputs, keys, noise=noise, options=options)
    return explanation._replace(cam=cam)


def augmented_cam(
    forward: Tapped,
    images: jax.Array,
    targets: Any,
    *inputs: Any,
    score: TargetScore = class_score,
    layout: Layout | None = None,
    method: MapMethod | Mapping[str, MapMethod] = grad_cam,
    factors: Sequence[float] = (0.9, 1.0, 1.1),
) -> Explanation:
    """Averages the maps of each image, and of its mirror image, times several factors: test-time augmentation.

    The maps of mirrored images are mirrored back. Two forward and backward passes a factor.

    Args:
        forward: As for :func:`gradcam_jax.explain`.
        images: As for :func:`gradcam_jax.explain`: two axes of positions, channels last.
        targets: As for :func:`gradcam_jax.explain`.
        *inputs: As for :func:`gradcam_jax.explain`.
        score: As for :func:`gradcam_jax.explain`.
        layout: As for :func:`gradcam_jax.explain`.
        method: As for :func:`gradcam_jax.explain`.
        factors: What the image's values, as the model takes them, are multiplied with.

    Returns:
        A :class:`gradcam_jax.Explanation` whose maps are means of signed maps.

    Raises:
        InputError: As for :func:`gradcam_jax.explain`; if the maps have not two axes, or there is no factor.

    References:
        ``aug_smooth`` of pytorch-grad-cam, which averages maps after normalising each.
    """
    if not factors:
        raise InputError("Expected at least one factor, got none.")
    explanation = explain(forward, images, targets, *inputs, score=score, layout=layout, method=method)
    leading = explanation.scores.ndim
    for cam in jax.tree.leaves(explanation.cam):
        if cam.ndim != leading + 2 or jnp.ndim(images) != 4:
            raise InputError(f"Expected maps with two axes to mirror, got maps {cam.shape[leading:]} instead.")
    options = _hashable(score=score, layout=layout, method=method)
    cam = _augmented(
        forward,
        jnp.asarray(images),
        explanation.targets,
        inputs,
        jnp.asarray(factors, jnp.float32),
        options=options,
    )
    return explanation._replace(cam=cam)


def _hashable(**options: Any) -> tuple[tuple[str, Any], ...]:
    """Returns options by which a compiled program is found again."""
    method = options["method"]
    return tuple((options | {"method": tuple(method.items()) if isinstance(method, Mapping) else method}).items())


def _maps(forward: Tapped, targets: Any, inputs: Any, options: Any) -> Callable[[jax.Array], Any]:
    options = dict(options)
    if isinstance(options["method"], tuple):
        options["method"] = dict(options["method"])
    return lambda images: explain(forward, images, targets, *inputs, **options).cam


@functools.partial(jax.jit, static_argnames=("noise", "options"), inline=True)
def _smoothed(
    forward: Tapped, images: jax.Array, targets: Any, inputs: Any, keys: jax.Array, *, noise: float, options: Any
) -> Any:
    maps_of = _maps(forward, targets, inputs, options)

    def of_one_copy(key: jax.Array) -> Any:
        each = jax.random.split(key, images.shape[0])
        return maps_of(jax.vmap(lambda image, key: noisy(image, key, noise))(images, each))

    return jax.tree.map(lambda cams: jnp.mean(cams, axis=0), jax.lax.map(of_one_copy, keys))


@functools.partial(jax.jit, static_argnames="options", inline=True)
def _augmented(
    forward: Tapped, images: jax.Array, targets: Any, inputs: Any, factors: jax.Array, *, options: Any
) -> Any:
    maps_of = _maps(forward, targets, inputs, options)

    def of_one_factor(factor: jax.Array) -> Any:
        scaled = images * factor.astype(images.dtype)
        mirrored = jax.tree.map(lambda cam: jnp.flip(cam, axis=-1), maps_of(jnp.flip(scaled, axis=-2)))
        return jax.tree.map(lambda cam, other: (cam + other) / 2, maps_of(scaled), mirrored)

    return jax.tree.map(lambda cams: jnp.mean(cams, axis=0), jax.lax.map(of_one_factor, factors))

"""Batches of images as the platform runs them fastest: on CPUs one image at a time, but for the last layers.

A CPU's caches hold what one image's convolutions pass on to each other, not what a batch's do, so there a batch
goes through them in a loop; accelerators take it whole. What follows the mapped layer takes the batch whole
everywhere: its fully connected layers are read from memory once a batch. The same call compiles to either.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from gradcam_jax.attribution.gradients import Outputs, linearize
from gradcam_jax.attribution.maps import grad_cam
from gradcam_jax.attribution.pixels import guided_grad_cam, input_gradient
from gradcam_jax.attribution.relu_rules import guided
from gradcam_jax.attribution.resize import resize_corner_aligned
from gradcam_jax.engine.dependence import depends_on
from gradcam_jax.engine.explanation import CamMethod, Explanation, TargetScore, explain_targets
from gradcam_jax.interception.linen import resumed, tapped


class TargetMaps(NamedTuple):
    """The class maps of a batch alone, without guided backpropagation.

    Attributes:
        outputs: The model's outputs, leading axis n.
        scores: The targets' scores, ``(n, targets)``.
        cam: Signed maps at the layer's resolution, ``(n, targets, h, w)`` float32, not normalised.
    """

    outputs: Outputs
    scores: jax.Array
    cam: jax.Array


TargetChoice = Callable[[Outputs, Any], Any]


def as_given(outputs: Outputs, targets: Any) -> Any:
    """Chooses the targets that were given, whatever the outputs."""
    del outputs
    return targets


def map_images(function: Callable[..., Any], *arrays: Any) -> Any:
    """Applies a function of one example to a batch: by a loop on CPUs, by ``jax.vmap`` elsewhere.

    Args:
        function: Takes one example's arrays.
        *arrays: Arrays or trees with a leading axis n. A loop over an axis that is sharded would gather it: give
            each device its own share by ``jax.shard_map`` (with ``check_vma=False``: the zeros at which gradients
            are taken are each device's own, and must not be summed over devices).

    Returns:
        What the function returns, with a leading axis n.

    Example:
        >>> import jax.numpy as jnp
        >>> map_images(jnp.sum, jnp.ones((2, 3)))
        Array([3., 3.], dtype=float32)
    """

    def loop(*arrays: Any) -> Any:
        return jax.lax.map(lambda example: function(*example), arrays)

    return jax.lax.platform_dependent(*arrays, cpu=loop, default=jax.vmap(function))


def map_targets(
    model: nn.Module,
    variables: Mapping[str, Any],
    layer: str,
    score: TargetScore,
    images: jax.Array,
    targets: Any,
    *inputs: Any,
    method: CamMethod = grad_cam,
    choose: TargetChoice = as_given,
) -> TargetMaps:
    """Maps several targets of each image of a batch, from one forward pass an image.

    Args:
        model: Any Linen module.
        variables: Its variables; :func:`gradcam_jax.models.convolution.with_prepared_kernels` makes them quicker.
        layer: The layer whose activations are mapped; its activation is ``(h, w, k)``.
        score: ``score(outputs, target) -> scalar``, for one image.
        images: What the network takes, ``(n, H, W, 3)``.
        targets: Array or tree with leading axes ``(n, targets)``.
        *inputs: Further inputs of the model with a leading axis n, such as questions' tokens.
        method: Makes a map from activations and gradients.
        choose: ``choose(outputs, targets) -> targets`` of one image, for targets that hang on the outputs: the two
            highest classes are ``lambda logits, _: jax.lax.top_k(logits, 2)[1]``.

    Returns:
        :class:`TargetMaps`.
    """
    trunk, rest = tapped(model, variables, layer), resumed(model, variables, layer, layer)
    activations = map_images(lambda *example: trunk({}, *example)[1][layer], images, *inputs)

    def map_one(activation: jax.Array, targets: Any, *example: Any) -> TargetMaps:
        targets = choose(rest({}, activation, *example)[0], targets)

        def map_target(target: Any) -> TargetMaps:
            def score_of(outputs: Outputs) -> jax.Array:
                return score(outputs, target)

            outputs, tapped_here, gradients = linearize(rest, score_of, activation, *example)
            cam = method(tapped_here[layer], gradients[layer], rectify=False)
            return TargetMaps(outputs, score_of(outputs), cam)

        return jax.vmap(map_target, out_axes=TargetMaps(None, 0, 0))(targets)  # type: ignore[arg-type]

    return jax.vmap(map_one)(activations, targets, images, *inputs)


def explain_images(
    model: nn.Module,
    variables: Mapping[str, Any],
    layer: str,
    score: TargetScore,
    images: jax.Array,
    targets: Any,
    *inputs: Any,
    method: CamMethod = grad_cam,
    choose: TargetChoice = as_given,
) -> Explanation:
    """Explains several targets of each image of a batch as :func:`gradcam_jax.explain_classes` does for one.

    Args:
        model: A Linen module with a ``relu`` field.
        variables: Its variables.
        layer: The layer whose activations are mapped.
        score: ``score(outputs, target) -> scalar``, for one image.
        images: What the network takes, ``(n, H, W, 3)``.
        targets: Array or tree with leading axes ``(n, targets)``.
        *inputs: Further inputs of the model with a leading axis n.
        method: Makes a map from activations and gradients.
        choose: ``choose(outputs, targets) -> targets`` of one image, for targets that hang on the outputs: the two
            highest classes are ``lambda logits, _: jax.lax.top_k(logits, 2)[1]``.

    Returns:
        An :class:`Explanation`, each part with a leading axis n.
    """
    guided_model = model.clone(relu=guided(model.relu))  # type: ignore[attr-defined]
    trunk, rest = tapped(guided_model, variables, layer), resumed(model, variables, layer, layer)
    guided_rest = resumed(guided_model, variables, layer, ())

    def run_trunk(images: jax.Array) -> jax.Array:
        return map_images(lambda *example: trunk({}, *example)[1][layer], images, *inputs)

    shape = jax.eval_shape(run_trunk, images)
    example = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), (shape, images, *inputs))
    if depends_on(lambda *example: guided_rest({}, *example)[0], 1, *example):
        # What passes the layer by meets what went through it again below, and guided rectifiers gate their sum.
        whole = tapped(model, variables, layer), tapped(guided_model, variables, ())

        def explain_one(image: jax.Array, targets: Any, *example: Any) -> Explanation:
            targets = choose(whole[0]({}, image, *example)[0], targets)
            return explain_targets(*whole, score, layer, image, targets, *example, method=method)

        return map_images(explain_one, images, targets, *inputs)

    activations, pull_back = jax.vjp(run_trunk, images)  # guided rectifiers change only what comes back

    def explain_head(activation: jax.Array, image: jax.Array, targets: Any, *example: Any) -> Any:
        targets = choose(rest({}, activation, image, *example)[0], targets)

        def explain_target(target: Any) -> Any:
            def score_of(outputs: Outputs) -> jax.Array:
                return score(outputs, target)

            outputs, tapped_here, gradients = linearize(rest, score_of, activation, image, *example)
            cam = method(tapped_here[layer], gradients[layer], rectify=False)
            gradient = input_gradient(guided_rest, score_of, activation, image, *example)
            return outputs, score_of(outputs), cam, gradient

        return jax.vmap(explain_target, out_axes=(None, 0, 0, 0))(targets)

    outputs, scores, cam, gradients = jax.vmap(explain_head)(activations, images, targets, *inputs)
    by_target = jnp.moveaxis(gradients, 1, 0)
    pixels = jnp.moveaxis(map_images(lambda gradient: pull_back(gradient)[0], by_target), 0, 1)
    heatmap = resize_corner_aligned(jax.nn.relu(cam), (images.shape[-3], images.shape[-2]))
    return Explanation(outputs, scores, cam, heatmap, pixels, guided_grad_cam(heatmap, pixels))

"""``explain``: the one verb. Several targets of each image of a batch, whatever the model and the task."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from gradcam_jax.attribution.layouts import Layout, channels_last
from gradcam_jax.attribution.maps import grad_cam
from gradcam_jax.attribution.relu_rules import guided as guided_rule
from gradcam_jax.engine.core import explain_batch
from gradcam_jax.engine.spec import Choice, MapMethod, Spec, TargetScore, as_given, class_score, from_outputs
from gradcam_jax.errors import InputError
from gradcam_jax.interception.tapped import Tapped


class Explanation(NamedTuple):
    """Why the model gave each target of each image its score.

    Attributes:
        outputs: The model's outputs, leading axis n.
        scores: The targets' scores, ``(n, targets)``.
        cam: Signed maps at the layer's resolution, ``(n, targets, h, w)`` float32, not normalised; of a signal
            ``(n, targets, t)``, of a volume ``(n, targets, d, h, w)``. With several
            methods a dictionary by the method's name, with several layers one by the layer's name (of the former).
        guided_backprop: Guided gradient at the model's input, ``(n, targets, H, W, 3)``, in its order of channels;
            None unless asked for.
        targets: The targets, leading axes ``(n, targets)``: those given, or those chosen from the outputs.
    """

    outputs: Any
    scores: jax.Array
    cam: Any
    guided_backprop: jax.Array | None
    targets: Any


def explain(
    forward: Tapped,
    images: jax.Array,
    targets: Any,
    *inputs: Any,
    score: TargetScore = class_score,
    layout: Layout | None = None,
    method: MapMethod | Mapping[str, MapMethod] = grad_cam,
    guided: bool | Tapped = False,
    guided_targets: slice = slice(None),
) -> Explanation:
    """Explains several targets of each image of a batch, from one forward pass an image.

    Called as it is, it compiles itself once for each shape of its arguments; under the caller's ``jax.jit`` it is
    inlined. In both the weights are arguments of the program, not constants. ``score`` and ``method`` must be the
    same functions from call to call (not a new ``lambda`` each time), or every call compiles anew.

    Args:
        forward: The model tapped at the layer to map, or at several.
        images: What the model takes, ``(n, H, W, 3)`` float; also signals ``(n, T, C)`` or volumes.
        targets: What is explained, ``(n, targets)`` int for classes, or any tree with these leading axes that
            ``score`` takes; or a function from one example's outputs to its targets, such as
            :func:`gradcam_jax.top_k` makes or :func:`gradcam_jax.all_classes` is.
        *inputs: Further inputs of the model with a leading axis n, such as questions' tokens.
        score: ``score(outputs, target) -> scalar``, for one example.
        layout: Arranges what a layer holds for one example as ``(positions ..., channels)``, which it is unless
            given: :func:`gradcam_jax.channels_first`, or :func:`gradcam_jax.token_grid` of a transformer. Of a
            model that takes images with their channels first, but has layers without: ``channels_last``.
        method: Makes a map from a layer's activations and gradients; a dictionary makes several.
        guided: Whether guided backpropagation is computed too, whatever model it is (see
            :func:`gradcam_jax.rectifiers`); instead of True also a forward of your own with guided rectifiers.
        guided_targets: Which of the targets it is computed for.

    Returns:
        An :class:`Explanation`.

    Raises:
        InputError: If the images are bytes or have their channels first, a class index is past the outputs, or
            there are no rectifiers to guide.
        LayerError: If a layer is not reached, or the score cannot depend on it.
        ValueError: If the score is not a scalar, or the layer has no spatial extent.

    Example:
        >>> import flax.linen as nn, gradcam_jax as gc, jax, jax.numpy as jnp
        >>> class Classifier(nn.Module):
        ...     @nn.compact
        ...     def __call__(self, x):
        ...         x = nn.relu(nn.Conv(8, (3, 3), name="conv")(x))
        ...         return nn.Dense(10)(x.reshape((x.shape[0], -1)))
        >>> model, images = Classifier(), jnp.ones((2, 16, 16, 3))
        >>> variables = model.init(jax.random.key(0), images)
        >>> explanation = explain(gc.tapped(model, variables, "conv"), images, jnp.array([[3], [7]]))
        >>> explanation.outputs.shape, explanation.cam.shape
        ((2, 10), (2, 1, 16, 16))

    References:
        Selvaraju et al., Grad-CAM, arXiv:1610.02391, section 3; Springenberg et al., arXiv:1412.6806.
    """
    require_layer(forward)
    images, targets, choose = read_arguments(images, targets, score, layout)
    guided_forward = forward.with_relu_rule(guided_rule) if guided is True else guided or None
    methods = dict(method) if isinstance(method, Mapping) else {"": method}
    maps = tuple((f"{name}@{layer}", layer, make) for layer in forward.layers for name, make in methods.items())
    chosen = guided_targets.start, guided_targets.stop, guided_targets.step
    spec = Spec(score, maps, choose, guided_forward is not None, chosen, layout or channels_last)
    parts = _compiled(forward, guided_forward, images, targets, inputs, spec)
    require_classes(targets, parts.outputs, score)
    by_layer = {layer: {name: parts.maps[f"{name}@{layer}"] for name in methods} for layer in forward.layers}
    cams = by_layer if isinstance(method, Mapping) else {layer: cams[""] for layer, cams in by_layer.items()}
    cam = cams if len(cams) > 1 else next(iter(cams.values()))
    return Explanation(parts.outputs, parts.scores, cam, parts.guided_backprop, parts.targets)


_compiled = functools.partial(jax.jit, static_argnames="spec", inline=True)(explain_batch)


def require_layer(forward: Tapped) -> None:
    """Raises InputError if a model is tapped at no layer."""
    if not forward.layers:
        raise InputError(
            "Expected a model tapped at the layer to map, as tapped(model, variables, layer) makes it."
        )


def read_arguments(
    images: Any, targets: Any, score: TargetScore, layout: Layout | None
) -> tuple[jax.Array, Any, Choice]:
    """Returns images and targets as arrays, and how targets are chosen, or raises InputError: as ``explain`` does.

    Where the targets are chosen from the outputs they are None.
    """
    images = jnp.asarray(images)
    _require_images(images, layout)
    if callable(targets):
        return images, None, from_outputs(targets)
    targets = jnp.asarray(targets) if score is class_score else jax.tree.map(jnp.asarray, targets)
    _require_targets(targets, images)
    if score is class_score and not jnp.issubdtype(targets.dtype, jnp.integer):
        raise InputError(f"Expected class indices, integers, got {targets.dtype} instead.")
    return images, targets, as_given


def _require_images(images: jax.Array, layout: Layout | None) -> None:
    if images.ndim < 2 or not jnp.issubdtype(images.dtype, jnp.floating):
        raise InputError(
            f"Expected a batch of float images as the model takes them, (n, H, W, 3), got {images.dtype} of shape "
            f"{images.shape} instead. Photos become such images by gradcam_jax.images.to_network."
        )
    if layout is None and images.ndim == 4 and images.shape[1] == 3 and images.shape[-1] != 3:
        raise InputError(
            f"Expected images with their channels last, (n, H, W, 3), got shape {images.shape} instead. Move the "
            "axis: jnp.moveaxis(images, 1, -1). If the model takes them so, say how its layers are laid out: "
            "explain(..., layout=channels_first), channels_last or token_grid()."
        )


def _require_targets(targets: Any, images: jax.Array) -> None:
    for leaf in jax.tree.leaves(targets):
        if leaf.ndim < 2 or leaf.shape[0] != images.shape[0]:
            raise InputError(
                f"Expected targets with leading axes (n, targets), n = {images.shape[0]} as the images, got shape "
                f"{leaf.shape} instead. One class a photo is labels[:, None]."
            )


def require_classes(targets: Any, outputs: Any, score: TargetScore) -> None:
    """Checks class indices where they are numbers on the host; under the caller's ``jax.jit`` they are not."""
    if score is not class_score or targets is None:
        return
    if isinstance(targets, jax.core.Tracer) or not hasattr(outputs, "shape"):
        return
    highest, classes = int(np.max(np.asarray(targets), initial=0)), outputs.shape[-1]
    if highest >= classes:
        raise InputError(f"Expected class indices under {classes}, the number of outputs, got {highest} instead.")

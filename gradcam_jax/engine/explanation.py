"""``explain``: the one verb. Several targets of each image of a batch, whatever the model and the task."""

import contextlib
import functools
import importlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from gradcam_jax.attribution.layouts import Layout, channels_last
from gradcam_jax.attribution.maps import grad_cam
from gradcam_jax.attribution.relu_rules import guided as guided_rule
from gradcam_jax.engine.core import explain_batch
from gradcam_jax.engine.refusals import read_arguments, require_indices, require_layer, require_positions
from gradcam_jax.engine.spec import MapMethod, Spec, TargetScore, class_score
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

    def _repr_png_(self) -> bytes:
        """Shows the maps in a notebook; ``gc.pictures.show(explanation, photos)`` lays them on the photos."""
        # By name: pictures know of explanations, not the other way round.
        return importlib.import_module("gradcam_jax.pictures").show(self)._repr_png_()


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
        InputError: If the images are bytes or have their channels first, a class index or a token is past the
            outputs (not under the caller's ``jax.jit``: it is no number there, and JAX's rules for such an index
            hold), or there are no rectifiers to guide.
        LayerError: If a layer is not reached, or the score cannot depend on it or on its positions.
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
    with _hint(images):
        images, targets, choose = read_arguments(images, targets, score, layout)
    guided_forward = forward.with_relu_rule(guided_rule) if guided is True else guided or None
    methods = dict(method) if isinstance(method, Mapping) else {"": method}
    maps = tuple((f"{name}@{layer}", layer, make) for layer in forward.layers for name, make in methods.items())
    chosen = guided_targets.start, guided_targets.stop, guided_targets.step
    spec = Spec(score, maps, choose, guided_forward is not None, chosen, layout or channels_last)
    with _hint(images):
        parts = _compiled(forward, guided_forward, images, targets, inputs, spec)
    require_indices(score, parts.outputs, targets)
    require_positions(parts.maps, layout, forward.layers)
    by_layer = {layer: {name: parts.maps[f"{name}@{layer}"] for name in methods} for layer in forward.layers}
    cams = by_layer if isinstance(method, Mapping) else {layer: cams[""] for layer, cams in by_layer.items()}
    cam = cams if len(cams) > 1 else next(iter(cams.values()))
    return Explanation(parts.outputs, parts.scores, cam, parts.guided_backprop, parts.targets)


_compiled = functools.partial(jax.jit, static_argnames="spec", inline=True)(explain_batch)


@contextlib.contextmanager
def _hint(images: Any) -> Iterator[None]:
    """Adds to an error how the images were read, where one image without a batch axis reads as signals."""
    try:
        yield
    except Exception as error:  # whatever the model raises is raised again, with the hint
        shape = np.shape(images)
        if len(shape) == 3:
            error.add_note(
                f"The images were read as {shape[0]} signals of shape {shape[1:]}. One image is image[None]."
            )
        raise

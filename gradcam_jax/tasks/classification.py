"""Image classification: a target is a class, its score the logit before the softmax."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax

from gradcam_jax.attribution.maps import grad_cam
from gradcam_jax.attribution.relu_rules import guided
from gradcam_jax.engine.explanation import CamMethod, Explanation, explain_targets
from gradcam_jax.interception.linen import tapped


def class_score(logits: jax.Array, class_index: jax.Array) -> jax.Array:
    """Returns the logit of one class, 0-based: the score that the original program explains."""
    return logits[class_index]


def explain_classes(
    model: nn.Module,
    variables: Mapping[str, Any],
    layer: str,
    image: jax.Array,
    class_indices: jax.Array,
    *,
    method: CamMethod = grad_cam,
) -> Explanation:
    """Explains several classes of one image: Grad-CAM, guided backpropagation and Guided Grad-CAM.

    A pure function of the arrays; ``jax.jit`` and ``jax.vmap`` it as you like. A new class or photo of the
    same shape compiles nothing.

    Args:
        model: A classifier with a ``relu`` field, such as :func:`gradcam_jax.vgg16`.
        variables: Its variables.
        layer: The layer whose activations are mapped, such as ``"relu5_3"``.
        image: What the network takes, ``(H, W, 3)`` float32.
        class_indices: 0-based classes, ``(targets,)`` int.
        method: Makes a map from activations and gradients, for example ``counterfactual_grad_cam``.

    Returns:
        An :class:`Explanation`; ``outputs`` are the logits, ``(classes,)``.
    """
    forward = tapped(model, variables, layer)
    guided_model = model.clone(relu=guided(model.relu))  # type: ignore[attr-defined]
    guided_forward = tapped(guided_model, variables, ())
    return explain_targets(forward, guided_forward, class_score, layer, image, class_indices, method=method)

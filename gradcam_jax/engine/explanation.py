"""One image, several targets, one forward pass: the maps and pixel gradients of every task.

A task says what a target is through ``score(outputs, target)``; everything else is the same for a class, an
answer and a word.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from gradcam_jax.attribution.gradients import Forward, Outputs, linearize
from gradcam_jax.attribution.maps import grad_cam
from gradcam_jax.attribution.pixels import guided_grad_cam, input_gradient
from gradcam_jax.attribution.resize import resize_corner_aligned

TargetScore = Callable[[Outputs, Any], jax.Array]
CamMethod = Callable[..., jax.Array]


class Explanation(NamedTuple):
    """Why the model gave each target its score.

    Attributes:
        outputs: The model's outputs.
        scores: The targets' scores, ``(targets,)``.
        cam: Signed map at the layer's resolution, ``(targets, h, w)``, not normalised.
        heatmap: The map rectified and resized to the image, ``(targets, H, W)``, not normalised.
        guided_backprop: Guided gradient at the network's input, ``(targets, H, W, 3)``, in its channel order.
        guided_grad_cam: ``heatmap * guided_backprop``, of the same shape.
    """

    outputs: Outputs
    scores: jax.Array
    cam: jax.Array
    heatmap: jax.Array
    guided_backprop: jax.Array
    guided_grad_cam: jax.Array


def explain_targets(
    forward: Forward,
    guided_forward: Forward,
    score: TargetScore,
    layer: str,
    image: jax.Array,
    targets: Any,
    *inputs: Any,
    method: CamMethod = grad_cam,
) -> Explanation:
    """Explains several targets of one image from one forward pass.

    Args:
        forward: The model tapped at the layer.
        guided_forward: The same model with guided rectifiers.
        score: ``score(outputs, target) -> scalar``.
        layer: The tapped layer's name; its activation is ``(h, w, k)``.
        image: What the network takes, ``(H, W, 3)``.
        targets: Array or tree with a leading axis of targets.
        *inputs: Further inputs of the model, such as a question's tokens.
        method: Makes a map from activations and gradients, for example ``counterfactual_grad_cam``.

    Returns:
        An :class:`Explanation`.

    References:
        Selvaraju et al., Grad-CAM, arXiv:1610.02391, section 3.
    """

    def explain_target(target: Any) -> Explanation:
        def score_of(outputs: Outputs) -> jax.Array:
            return score(outputs, target)

        outputs, activations, gradients = linearize(forward, score_of, image, *inputs)
        cam = method(activations[layer], gradients[layer], rectify=False)
        heatmap = resize_corner_aligned(jax.nn.relu(cam), (image.shape[-3], image.shape[-2]))
        pixels = input_gradient(guided_forward, score_of, image, *inputs)
        return Explanation(outputs, score_of(outputs), cam, heatmap, pixels, guided_grad_cam(heatmap, pixels))

    # The outputs do not depend on the target, so vmap leaves them, and the whole forward pass, unbatched.
    axes = Explanation(None, 0, 0, 0, 0, 0)  # type: ignore[arg-type]
    return jax.vmap(explain_target, out_axes=axes)(targets)

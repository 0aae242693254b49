"""What an explanation refuses before or after it is computed: input that JAX itself would take without a word.

Values are looked at on the host, where they are numbers; under the caller's ``jax.jit`` they are not.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from gradcam_jax.attribution.layouts import Layout, TokenGrid
from gradcam_jax.engine.scores import (
    PartScore,
    detection_score,
    difference_score,
    finer_score,
    probability_score,
    segmentation_score,
    softened_score,
)
from gradcam_jax.engine.spec import Choice, TargetScore, as_given, class_score, from_outputs
from gradcam_jax.engine.tokens import next_token_score, token_score
from gradcam_jax.errors import InputError, LayerError
from gradcam_jax.interception.tapped import Tapped


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
    as_array = score is class_score or isinstance(targets, list)
    targets = jnp.asarray(targets) if as_array else jax.tree.map(jnp.asarray, targets)
    _require_targets(score, targets, images)
    return images, targets, as_given


def _require_images(images: jax.Array, layout: Layout | None) -> None:
    """Raises InputError if the images are no batch of floats, or have their channels first."""
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


def _require_targets(score: TargetScore, targets: Any, images: jax.Array) -> None:
    """Raises InputError if targets lack their leading axes, or are no classes where the score takes classes."""
    for leaf in jax.tree.leaves(targets):
        if leaf.ndim < 2 or leaf.shape[0] != images.shape[0]:
            raise InputError(
                f"Expected targets with leading axes (n, targets), n = {images.shape[0]} as the images, got shape "
                f"{leaf.shape} instead. One class a photo is labels[:, None]."
            )
    if score is class_score and not jnp.issubdtype(targets.dtype, jnp.integer):
        raise InputError(f"Expected class indices, integers, got {targets.dtype} instead.")


def require_indices(score: TargetScore, outputs: Any, targets: Any) -> None:
    """Raises InputError if a target names a class or a token that the outputs do not have; None names none."""
    if targets is None:
        return
    if isinstance(score, PartScore):
        require_indices(score.score, outputs if hasattr(outputs, "shape") else score.take(outputs), targets)
        return
    if score not in _INDICES or any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(targets)):
        return
    kind, indices_of, logits_of = _INDICES[score]
    indices, logits = np.asarray(indices_of(targets)), logits_of(outputs)
    if not hasattr(logits, "shape"):
        return
    highest, count = int(np.max(indices, initial=0)), logits.shape[-1]
    if highest >= count:
        raise InputError(f"Expected {kind} under {count}, the number of outputs, got {highest} instead.")
    if kind == "tokens" and np.min(indices, initial=0) < 0:
        raise InputError(
            f"Expected {kind} from 0, got {np.min(indices)} where the mask counts it. Padding has the mask 0."
        )


def require_positions(cams: Any, layout: Layout | None, layers: tuple[str, ...]) -> None:
    """Raises LayerError if every map of a token grid is zero, where class tokens were left out."""
    leaves = jax.tree.leaves(cams)
    if not isinstance(layout, TokenGrid) or not layout.class_tokens or isinstance(leaves[0], jax.core.Tracer):
        return
    if all(leaf.size and not np.any(leaf) for leaf in leaves):
        raise LayerError(
            f"Every map of layer {', '.join(map(repr, layers))} is zero: the score takes nothing from its "
            "positions. Behind a transformer's last attention only the class token counts; map a layer before it: "
            "suggest_layer(forward, image)."
        )


def _counted_tokens(target: Any) -> np.ndarray:
    return np.where(np.asarray(target["mask"]) != 0, np.asarray(target["tokens"]), 0)


_CLASSES = "class indices", lambda targets: targets, lambda outputs: outputs
_TOKENS = "tokens", _counted_tokens, lambda outputs: outputs
# Score -> what its indices are called, where they are in its targets, and the logits that they index.
_INDICES: dict[Any, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    class_score: _CLASSES,
    probability_score: _CLASSES,
    finer_score: _CLASSES,
    softened_score: _CLASSES,
    difference_score: _CLASSES,
    segmentation_score: ("class indices", lambda targets: targets["label"], lambda outputs: outputs),
    detection_score: ("class indices", lambda targets: targets["label"], lambda outputs: outputs[1]),
    token_score: _TOKENS,
    next_token_score: _TOKENS,
}

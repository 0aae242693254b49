"""What a task brings to a run: how one image is asked about, explained on the device, and described.

A :class:`Job` knows nothing of files and batches; ``classification``, ``vqa`` and ``captioning`` beside this file
make one each.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.attribution.linearize import Forward, pullback
from gradcam_jax.attribution.maps import grad_cam
from gradcam_jax.attribution.pixels import guided_grad_cam, input_gradient
from gradcam_jax.attribution.resize import resize_corner_aligned
from gradcam_jax.batch.items import Item
from gradcam_jax.errors import InputError
from gradcam_jax.interception.names import nearest
from gradcam_jax.interception.precision import head_in_float32
from gradcam_jax.preprocessing import Recipe, to_rgb

PREDICTED, NOTHING = -1, -2
"""What a target's place holds where the model's own prediction is explained, and where nothing is."""

GUIDED_BACKPROP, GUIDED_GRAD_CAM = "guided_backprop", "guided_grad_cam"

METHODS = ("grad_cam", GUIDED_BACKPROP, GUIDED_GRAD_CAM)
"""What can be computed. The counterfactual's signed map is Grad-CAM's negated, so it needs no computation."""


class Title(NamedTuple):
    """What a picture of one target is called.

    Attributes:
        target: Index of the target among the image's maps.
        name: For the file's name.
        text: For people.
    """

    target: int
    name: str
    text: str


class Job(NamedTuple):
    """One task with one model.

    Attributes:
        settings: What its results depend on, as plain JSON values.
        recipe: The model's preprocessing.
        size: Side of the network's image, in pixels.
        variables: The model's variables.
        request: From an item to the model's other inputs, name -> array; raises InputError.
        explain: ``(variables, image, inputs) -> {name: array}`` for one image, a pure function; ``image`` is
            what the network takes. The results hold ``cam`` (targets, h, w).
        describe: From one image's results, ``prediction``, ``score`` and ``all_negative`` for the manifest.
        titles: From one image's results, what its pictures are called.
        in_bfloat16: Whether the image is handed over in bfloat16.
    """

    settings: dict[str, Any]
    recipe: Recipe
    size: int
    variables: Any
    request: Callable[[Item], Mapping[str, np.ndarray]]
    explain: Callable[[Any, jax.Array, Mapping[str, jax.Array]], dict[str, jax.Array]]
    describe: Callable[[Mapping[str, np.ndarray]], dict[str, Any]]
    titles: Callable[[Mapping[str, np.ndarray]], list[Title]]
    in_bfloat16: bool = False


def parse_methods(text: str) -> tuple[str, ...]:
    """Reads a comma-separated list of methods; maps are always computed.

    Example:
        >>> parse_methods("guided_grad_cam")
        ('grad_cam', 'guided_grad_cam')
    """
    named = [part.strip() for part in text.split(",") if part.strip()]
    for name in named:
        if name not in METHODS:
            near = nearest(name, METHODS) or METHODS
            raise InputError(f"There is no method {name!r} for many images. Nearest: {', '.join(near)}.")
    return tuple(method for method in METHODS if method in ("grad_cam", *named))


def explain_indices(forward: Forward, layer: str, wanted: jax.Array, *inputs: Any) -> dict[str, jax.Array]:
    """Explains entries of a model's vector of scores, those asked for or the highest, from one forward pass.

    Args:
        forward: The model tapped at the layer; it returns ``(n,)`` scores.
        layer: The layer's name.
        wanted: Indices to explain, ``(targets,)`` int32; at place k, -1 stands for the k-th highest score, and
            -2 for nothing.
        *inputs: What the forward takes after the taps.

    Returns:
        ``cam`` (targets, h, w) float32, signed; ``targets`` and ``scores`` (targets,), -2 and 0 where nothing
        was asked; ``prediction`` () int32, the index of the highest score, and its ``probability``.
    """
    scores, activations, gradients_of = pullback(forward, *inputs)
    highest = jax.lax.top_k(scores, wanted.shape[0])[1].astype(jnp.int32)
    targets = jnp.where(wanted == PREDICTED, highest, wanted)

    def explain(target: jax.Array) -> jax.Array:
        gradients = gradients_of(lambda scores: scores[jnp.maximum(target, 0)])
        cam = grad_cam(activations[layer], gradients[layer], rectify=False)
        return jnp.where(target >= 0, cam, jnp.zeros_like(cam))

    return {
        "cam": jax.vmap(explain)(targets),
        "targets": targets,
        "scores": jnp.where(targets >= 0, scores[jnp.maximum(targets, 0)], 0.0),
        "prediction": highest[0],
        "probability": jax.nn.softmax(scores)[highest[0]],
    }


def add_pixel_gradients(
    results: dict[str, jax.Array],
    methods: tuple[str, ...],
    guided_forward: Forward,
    score: Callable[[Any, Any], jax.Array],
    targets: Any,
    recipe: Recipe,
    image: jax.Array,
    *inputs: Any,
) -> dict[str, jax.Array]:
    """Adds guided backpropagation, and Guided Grad-CAM, if they are among the methods.

    Args:
        results: One image's results, with ``cam`` (targets, h, w).
        methods: What is wanted.
        guided_forward: The model with guided rectifiers.
        score: ``score(outputs, target) -> scalar``.
        targets: Array with a leading axis of targets.
        recipe: Knows the order of the network's channels.
        image: What the network takes, ``(H, W, 3)``.
        *inputs: The model's further inputs.

    Returns:
        The results with ``guided_backprop`` and ``guided_grad_cam``, (targets, H, W, 3) float32, RGB.
    """
    if GUIDED_BACKPROP not in methods and GUIDED_GRAD_CAM not in methods:
        return results

    def pixels_of(target: Any) -> jax.Array:
        def score_of(outputs: Any) -> jax.Array:
            return score(outputs, target)

        return to_rgb(input_gradient(guided_forward, score_of, image, *inputs), recipe).astype(jnp.float32)

    pixels = jax.vmap(pixels_of)(targets)
    heatmaps = resize_corner_aligned(jax.nn.relu(results["cam"]), (image.shape[-3], image.shape[-2]))
    made = {GUIDED_BACKPROP: pixels, GUIDED_GRAD_CAM: guided_grad_cam(heatmaps, pixels)}
    return results | {name: array for name, array in made.items() if name in methods}


def in_trunk_type(forward: Forward, *, in_bfloat16: bool) -> Forward:
    """Returns the forward, or with a bfloat16 trunk the forward whose head is float32."""
    return head_in_float32(forward) if in_bfloat16 else forward


def describe_targets(results: Mapping[str, np.ndarray], name_of: Callable[[int], str]) -> dict[str, Any]:
    """Returns the manifest's fields of an image whose targets are indices.

    Args:
        results: One image's, as :func:`explain_indices` returns them.
        name_of: From an index to what it is called.
    """
    return {
        "prediction": name_of(int(results["prediction"])),
        "score": float(results["scores"][0]),
        "all_negative": bool(results["cam"][0].max() <= 0),
    }


def target_titles(results: Mapping[str, np.ndarray], name_of: Callable[[int], str]) -> list[Title]:
    """Returns the titles of the pictures of an image whose targets are indices."""
    return [
        Title(place, name_of(int(index)), f"{name_of(int(index))}: score {results['scores'][place]:.2f}")
        for place, index in enumerate(results["targets"])
        if index >= 0
    ]

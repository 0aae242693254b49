"""What a task brings to a run: how one image is asked about, explained on the device, and described.

A :class:`Job` knows nothing of files and batches; ``classification``, ``vqa`` and ``captioning`` beside this file
make one each, and ``explanation`` runs it over a batch.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.attribution.gradients import Forward, pullback
from gradcam_jax.attribution.maps import grad_cam
from gradcam_jax.errors import InputError, nearest
from gradcam_jax.images.preprocessing import Preprocessing
from gradcam_jax.pipeline.items import Item

PREDICTED, NOTHING = -1, -2
"""What a target's place holds where the model's own prediction is explained, and where nothing is."""

GUIDED_BACKPROP, GUIDED_GRAD_CAM = "guided_backprop", "guided_grad_cam"

METHODS = ("grad_cam", GUIDED_BACKPROP, GUIDED_GRAD_CAM)
"""What can be computed. The counterfactual's signed map is Grad-CAM's negated, so it needs no computation."""

Inputs = Mapping[str, jax.Array]
Results = dict[str, jax.Array]
Head = Callable[..., Forward]


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
        settings: What its results depend on, as plain JSON values; ``methods`` among them.
        recipe: The model's preprocessing.
        size: Side of the network's image, in pixels.
        model: The model.
        guided_model: The same with guided rectifiers.
        variables: Their variables; with a trunk in bfloat16, the trunk's are.
        layer: The mapped layer, where the model is cut.
        request: From an item to the model's other inputs, name -> array; raises InputError.
        trunk_options: How the model is applied to an image alone, such as ``{"method": "image_vector"}``.
        explain: ``(variables, head, image, inputs) -> results`` of one image, ``cam`` (targets, h, w) among them.
        scores: ``(head, image, inputs, results) -> (targets,)``: the targets' scores.
        describe: From one image's results, ``prediction``, ``score`` and ``all_negative`` for the manifest.
        titles: From one image's results, what its pictures are called.
        in_bfloat16: Whether the trunk is computed in bfloat16.

    ``explain`` and ``scores`` get the head as ``head(**apply_options)``: the tapped rest of the model, to be
    called with taps, the image and the model's other inputs.
    """

    settings: dict[str, Any]
    recipe: Preprocessing
    size: int
    model: nn.Module
    guided_model: nn.Module
    variables: Any
    layer: str
    request: Callable[[Item], Mapping[str, np.ndarray]]
    trunk_options: Mapping[str, Any]
    explain: Callable[[Any, Head, jax.Array, Inputs], Results]
    scores: Callable[[Head, jax.Array, Inputs, Results], jax.Array]
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


def wanted_indices(text: str, count: int, index_of: Callable[[str], int], *, what: str) -> np.ndarray:
    """Reads a comma-separated list of targets into indices.

    Args:
        text: Their names; -1 is the predicted one, and empty, or -1 alone, all predicted.
        count: Number of targets; more names are an error, fewer are filled up with -2, nothing.
        index_of: From a name to its index; raises InputError.
        what: What they are, for the message.

    Returns:
        ``(count,)`` int32.

    Example:
        >>> wanted_indices("b, -1", 3, "abc".index, what="letters").tolist()
        [1, -1, -2]
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or parts == [str(PREDICTED)]:
        return np.full(count, PREDICTED, np.int32)
    if len(parts) > count:
        raise InputError(
            f"Expected at most {count} {what} a photo, got {len(parts)} ({text!r}). "
            f"Ask for more:  --top_k {len(parts)}"
        )
    indices = [PREDICTED if part == str(PREDICTED) else index_of(part) for part in parts]
    return np.array(indices + [NOTHING] * (count - len(indices)), np.int32)


def explain_indices(forward: Forward, layer: str, wanted: jax.Array, *inputs: Any) -> Results:
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


def scores_at_targets(forward: Forward, results: Results, *inputs: Any) -> jax.Array:
    """Returns the scores of the targets that :func:`explain_indices` explained, ``(targets,)``."""
    return forward({}, *inputs)[0][jnp.maximum(results["targets"], 0)]


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

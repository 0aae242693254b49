"""A photo whose activations are kept: asked something else, it costs the head alone.

The trunk of a CNN, from the photo to the mapped layer, is nearly all of the work, and the same whatever class,
answer or caption is explained. :func:`keep_photo` runs it, :func:`explain_kept` what follows it: the two halves of
what :func:`gradcam_jax.tasks.explain_photo` does at once.
"""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from gradcam_jax.engine.core import activations_of, explain_activations
from gradcam_jax.images import to_network
from gradcam_jax.interception.tapped import Tapped
from gradcam_jax.tasks.methods import GRAD_CAM, with_gradient_maps
from gradcam_jax.tasks.task import ExplainedPhoto, Plan, Results, Task


class KeptPhoto(NamedTuple):
    """A photo, and what a task's model makes of it up to the mapped layer.

    Attributes:
        photo: uint8 RGB, ``(H, W, 3)``.
        box: The part of the photo that the maps cover, ``(left, top, right, bottom)`` in its pixels.
        image: What the model takes, ``(1, size, size, 3)``.
        activations: What the mapped layer gives, ``(1, h, w, k)``.
    """

    photo: np.ndarray
    box: tuple[float, float, float, float]
    image: jax.Array
    activations: jax.Array


def keep_photo(task: Task, photo: np.ndarray) -> KeptPhoto:
    """Runs a task's model on a photo up to the mapped layer.

    The layer is one of the CNN's, so that it does not depend on a question or caption.

    Args:
        task: The task.
        photo: uint8 RGB, ``(H, W, 3)``.
    """
    resized = task.plan.preprocessing.resize(photo, task.size)
    batch = jax.tree.map(lambda leaf: np.asarray(leaf)[np.newaxis], (resized.image, dict(task.encode({}))))
    image, activations = _run_trunk(task.forward, *batch, plan=task.plan)
    return KeptPhoto(photo, resized.box, image, activations)


def explain_kept(
    task: Task, kept: KeptPhoto, *, methods: tuple[str, ...] = (GRAD_CAM,), **request: str
) -> ExplainedPhoto:
    """Explains a photo from its kept activations.

    Args:
        task: The task that kept it, or one that differs from it only in what is asked and how it is mapped.
        kept: The photo.
        methods: Grad-CAM, and if wished others of :data:`gradcam_jax.tasks.methods.GRADIENT_MAPS`: those that need
            activations and gradients alone.
        **request: What is asked, as for :func:`gradcam_jax.tasks.explain_photo`.

    Returns:
        What ``explain_photo`` gives.

    Raises:
        InputError: If what is asked cannot be had.

    Example:
        >>> import gradcam_jax as gc, numpy as np
        >>> task = gc.tasks.vqa(gc.zoo.load("vqa_easy"), question="what shape?")
        >>> kept = keep_photo(task, np.full((64, 64, 3), 240, np.uint8))
        >>> explain_kept(task, kept, question="is there a circle?", answer="yes").description.rows[0].name
        'yes'
    """
    arrays = jax.tree.map(lambda leaf: np.asarray(leaf)[np.newaxis], dict(task.encode(request)))
    results = jax.device_get(
        _run_head(task.forward, kept.activations, kept.image, arrays, plan=task.plan, methods=methods)
    )
    description = task.describe({name: array[0] for name, array in results.items()}, request)
    return ExplainedPhoto(kept.photo, kept.box, description)


@functools.partial(jax.jit, static_argnames="plan")
def _run_trunk(forward: Tapped, images: Any, arrays: Any, *, plan: Plan) -> tuple[jax.Array, jax.Array]:
    network = to_network(images, plan.preprocessing)
    inputs = tuple(arrays[name] for name in plan.inputs)
    return network, activations_of(forward, network, inputs)


@functools.partial(jax.jit, static_argnames=("plan", "methods"))
def _run_head(
    forward: Tapped, activations: Any, network: Any, arrays: Any, *, plan: Plan, methods: tuple[str, ...]
) -> Results:
    inputs, spec = tuple(arrays[name] for name in plan.inputs), with_gradient_maps(plan.spec, methods)
    return plan.summarise(explain_activations(forward, activations, network, arrays.get("targets"), inputs, spec))

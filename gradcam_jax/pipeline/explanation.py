"""A job over a batch: one forward pass an image, for maps and guided gradients alike.

The model is cut at the mapped layer. The trunk runs as the platform likes it (on CPUs one image at a time), the
head takes the whole batch, and what is computed in bfloat16 ends where the trunk ends.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gradcam_jax.attribution.gradients import Forward
from gradcam_jax.attribution.pixels import guided_grad_cam
from gradcam_jax.attribution.resize import resize_corner_aligned
from gradcam_jax.engine.dependence import depends_on
from gradcam_jax.engine.image_batches import map_images
from gradcam_jax.images.preprocessing import to_rgb
from gradcam_jax.interception.linen import resumed, tapped
from gradcam_jax.pipeline.job import GUIDED_BACKPROP, GUIDED_GRAD_CAM, Head, Inputs, Job, Results


def explain_batch(job: Job, variables: Any, images: jax.Array, inputs: Inputs) -> Results:
    """Explains a batch: one forward pass an image for maps and guided gradients alike.

    Args:
        job: The task and the model.
        variables: The job's variables.
        images: What the network takes, ``(n, H, W, 3)``.
        inputs: Name -> ``(n, ...)``.

    Returns:
        Name -> ``(n, ...)``: what the job's ``explain`` gives for each image, and if they are among the methods
        ``guided_backprop`` and ``guided_grad_cam``, ``(n, targets, H, W, 3)`` float32, RGB.
    """
    wanted = [name for name in (GUIDED_BACKPROP, GUIDED_GRAD_CAM) if name in job.settings["methods"]]

    def run_trunk(model: nn.Module, images: jax.Array) -> jax.Array:
        forward = tapped(model, variables, job.layer, **job.trunk_options)
        # Head, gradients and maps are float32, whatever the trunk is.
        return map_images(lambda image: forward({}, image)[1][job.layer].astype(jnp.float32), images)

    def explain(activation: jax.Array, image: jax.Array, inputs: Inputs) -> Results:
        return job.explain(variables, _head(job, job.model, variables, activation), image, inputs)

    # Flax's batch normalisation mixes bfloat16 values with its float32 statistics, on purpose.
    with jax.numpy_dtype_promotion("standard" if job.in_bfloat16 else _promotion()):
        if not wanted:
            return jax.vmap(explain)(run_trunk(job.model, images), images, inputs)
        # Guided rectifiers change only what comes back, so that their trunk serves the maps too.
        activations, pull_back = jax.vjp(functools.partial(run_trunk, job.guided_model), images)
        results = jax.vmap(explain)(activations, images, inputs)
        pixels = _guided_gradients(job, variables, activations, pull_back, images, inputs, results)
    pixels = to_rgb(pixels.astype(jnp.float32), job.recipe)
    heatmaps = resize_corner_aligned(jax.nn.relu(results["cam"]), (images.shape[-3], images.shape[-2]))
    made = {GUIDED_BACKPROP: pixels, GUIDED_GRAD_CAM: guided_grad_cam(heatmaps, pixels)}
    return results | {name: made[name] for name in wanted}


def _head(job: Job, model: nn.Module, variables: Any, activation: jax.Array) -> Head:
    def head(**apply_options: Any) -> Forward:
        rest = resumed(model, variables, job.layer, job.layer, **apply_options)
        return lambda taps, image, *others: rest(taps, activation, image, *others)

    return head


def _guided_gradients(
    job: Job,
    variables: Any,
    activations: jax.Array,
    pull_back: Callable[[jax.Array], tuple[jax.Array]],
    images: jax.Array,
    inputs: Inputs,
    results: Results,
) -> jax.Array:
    """Returns guided backpropagation, ``(n, targets, H, W, 3)``, in the network's order of channels."""

    def scores_of_rest(activation: jax.Array, image: jax.Array, inputs: Inputs, results: Results) -> jax.Array:
        return job.scores(_head(job, job.guided_model, variables, activation), image, inputs, results)

    def scores_of_whole(image: jax.Array, inputs: Inputs, results: Results) -> jax.Array:
        return job.scores(
            lambda **options: tapped(job.guided_model, variables, (), **options), image, inputs, results
        )

    of_one = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), (activations, images, inputs, results)
    )
    if depends_on(scores_of_rest, 1, *of_one):
        # What passes the layer by meets what went through it again below, and guided rectifiers gate their sum.
        return map_images(jax.jacrev(scores_of_whole), images, inputs, results)
    gradients = jax.vmap(jax.jacrev(scores_of_rest))(activations, images, inputs, results)
    pixels = jax.lax.map(lambda gradient: pull_back(gradient)[0], jnp.moveaxis(gradients, 1, 0))
    return jnp.moveaxis(pixels, 0, 1)


def _promotion() -> Any:
    return jax.config.jax_numpy_dtype_promotion  # type: ignore[attr-defined]

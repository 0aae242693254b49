"""Classes of many photos: the predicted ones, or those that each line of a list names."""

import functools
from typing import Any

import jax
import numpy as np

from gradcam_jax.attribution.relu_rules import guided
from gradcam_jax.engine.precision import trunk_in_bfloat16
from gradcam_jax.images.preprocessing import Preprocessing
from gradcam_jax.pipeline.items import Item
from gradcam_jax.pipeline.job import (
    Head,
    Inputs,
    Job,
    Results,
    describe_targets,
    explain_indices,
    scores_at_targets,
    target_titles,
    wanted_indices,
)
from gradcam_jax.text.ilsvrc import find_class, imagenet_classes
from gradcam_jax.zoo import classifiers as zoo


def classification_job(
    entry: zoo.Entry,
    recipe: Preprocessing,
    size: int,
    *,
    layer: str,
    methods: tuple[str, ...] = ("grad_cam",),
    labels: str = "",
    top_k: int = 1,
    in_bfloat16: bool = False,
    variables: Any = None,
) -> Job:
    """Returns the job of explaining classes.

    Args:
        entry: The model's entry in the zoo.
        recipe: The preprocessing.
        size: Side of the network's image, in pixels.
        layer: The layer to map.
        methods: What is computed, of :data:`gradcam_jax.pipeline.job.METHODS`.
        labels: Comma-separated labels for every photo that names none itself; -1 or empty: the predicted ones.
        top_k: Targets a photo: so many of the highest predictions, or at most so many labels.
        in_bfloat16: Whether the trunk is computed in bfloat16.
        variables: The model's variables; read from the checkpoint unless given.

    Raises:
        InputError: If a label is unknown or there are more labels than targets.
    """
    model, variables = entry.build(), variables or zoo.load_variables(entry)
    if in_bfloat16:
        variables = trunk_in_bfloat16(model, variables, layer, zoo.example_image(entry, size))

    def wanted(text: str) -> np.ndarray:
        return wanted_indices(text, top_k, lambda text: find_class(text).index, what="labels")

    everywhere = wanted(labels)

    def request(item: Item) -> dict[str, np.ndarray]:
        own = item.request.get("label", "")
        return {"wanted": wanted(own) if own else everywhere}

    def explain(_: Any, head: Head, image: jax.Array, inputs: Inputs) -> Results:
        return explain_indices(head(), layer, inputs["wanted"], image)

    def scores(head: Head, image: jax.Array, _: Inputs, results: Results) -> jax.Array:
        return scores_at_targets(head(), results, image)

    return Job(
        settings={
            "task": "classification",
            "model": entry.name,
            "layer": layer,
            "methods": methods,
            "label": labels,
            "top_k": top_k,
        },
        recipe=recipe,
        size=size,
        model=model,
        guided_model=model.clone(relu=guided(model.relu)),
        variables=variables,
        layer=layer,
        request=request,
        trunk_options={},
        explain=explain,
        scores=scores,
        describe=functools.partial(describe_targets, name_of=_name),
        titles=functools.partial(target_titles, name_of=_name),
        in_bfloat16=in_bfloat16,
    )


def _name(index: int) -> str:
    return imagenet_classes()[index].name

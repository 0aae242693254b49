"""Classes of many photos: the predicted ones, or those that each line of a list names."""

import functools
from typing import Any

import jax
import numpy as np

from gradcam_jax import zoo
from gradcam_jax.attribution.relu_rules import guided
from gradcam_jax.batch.items import Item
from gradcam_jax.batch.job import (
    NOTHING,
    PREDICTED,
    Head,
    Inputs,
    Job,
    Results,
    describe_targets,
    explain_indices,
    scores_at_targets,
    target_titles,
)
from gradcam_jax.errors import InputError
from gradcam_jax.interception.precision import trunk_in_bfloat16
from gradcam_jax.preprocessing import Recipe
from gradcam_jax.tasks.ilsvrc import find_class, imagenet_classes


def classification_job(
    entry: zoo.Entry,
    recipe: Recipe,
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
        methods: What is computed, of :data:`gradcam_jax.batch.job.METHODS`.
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
    everywhere = wanted_classes(labels, top_k)

    def request(item: Item) -> dict[str, np.ndarray]:
        own = item.request.get("label", "")
        return {"wanted": wanted_classes(own, top_k) if own else everywhere}

    def explain(head: Head, image: jax.Array, inputs: Inputs) -> Results:
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


def wanted_classes(labels: str, count: int) -> np.ndarray:
    """Reads comma-separated labels into 0-based indices.

    Args:
        labels: 1-based numbers, names or WordNet ids; -1 is the predicted class; empty is all predicted.
        count: Number of targets; more labels are an error, fewer are filled up with -2, nothing.

    Returns:
        ``(count,)`` int32.

    Example:
        >>> wanted_classes("boxer, -1", 3).tolist(), wanted_classes("", 2).tolist()
        ([242, -1, -2], [-1, -1])
    """
    parts = [part.strip() for part in labels.split(",") if part.strip()]
    if not parts or parts == [str(PREDICTED)]:
        return np.full(count, PREDICTED, np.int32)
    if len(parts) > count:
        raise InputError(
            f"Expected at most {count} labels a photo, got {len(parts)} ({labels!r}). "
            f"Ask for more:  --top_k {len(parts)}"
        )
    indices = [PREDICTED if part == str(PREDICTED) else find_class(part).index for part in parts]
    return np.array(indices + [NOTHING] * (count - len(indices)), np.int32)


def _name(index: int) -> str:
    return imagenet_classes()[index].name

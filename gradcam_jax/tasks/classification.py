"""Image classification: a target is a class, its score the logit before the softmax."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradcam_jax.attribution.maps import counterfactual_grad_cam, grad_cam
from gradcam_jax.engine.spec import Spec, class_score
from gradcam_jax.tasks.indices import (
    PREDICTED,
    blank_note,
    choose_indices,
    encode_targets,
    guided_parts,
    record_indices,
    require_top_k,
    strength_of,
    summarise_indices,
    target_places,
)
from gradcam_jax.tasks.methods import other_maps
from gradcam_jax.tasks.rows import Description, Row, percent
from gradcam_jax.tasks.task import DEFAULT_SETTING, Plan, Request, Setting, Task, preprocessing_and_size
from gradcam_jax.text.ilsvrc import ImageNetClass, classes_named, find_class
from gradcam_jax.zoo import Loaded, find_layer, find_layout


def classification(
    loaded: Loaded, setting: Setting = DEFAULT_SETTING, *, label: str = "", top_k: int = 1, max_targets: int = 0
) -> Task:
    """Returns the task of explaining classes.

    Args:
        loaded: A classifier.
        setting: How it is fed and mapped.
        label: Comma-separated classes for every photo that names none itself: 1-based numbers as in the original
            program (243 = boxer), names or WordNet ids; -1, or nothing, stands for the predicted ones.
        top_k: How many of the highest predictions -1 stands for.
        max_targets: Classes of every photo of a batch, at most: photos that ask for fewer have empty places. 0: as
            many as each photo asks for.

    Raises:
        InputError: If there is no such class, layer or preprocessing.

    Example:
        >>> import gradcam_jax as gc
        >>> task = gc.tasks.classification(gc.zoo.load("efficientnet_lite0"), label="boxer, -1", top_k=2)
        >>> task.encode({})["targets"].tolist(), task.encode({"label": "tabby"})["targets"].tolist()
        ([242, -1, -2], [281])
    """
    preprocessing, size = preprocessing_and_size(loaded, setting)
    layer = find_layer(loaded, setting.layer, size)
    require_top_k(label, top_k, len(loaded.labels), what="label")
    classes = classes_named(loaded.labels.entries)
    names = [class_.name for class_ in classes]

    def read(text: str) -> np.ndarray:
        return encode_targets(text, top_k, lambda name: find_class(name, classes).index, places=max_targets)

    everywhere = read(label)

    def encode(request: Request) -> dict[str, np.ndarray]:
        own = request.get("label", "")
        return {"targets": read(own) if own.strip() else everywhere}

    def record(results: Mapping[str, np.ndarray], request: Request) -> dict[str, Any]:
        asked = request.get("label", "").strip() or label.strip() or PREDICTED
        return {"request": {"label": asked}, **record_indices(results, names)}

    def describe(results: Mapping[str, np.ndarray], request: Request) -> Description:
        del request
        return describe_classes(classes, results)

    method = counterfactual_grad_cam if setting.counterfactual else grad_cam
    layout = find_layout(loaded, layer, size)
    spec = Spec(class_score, (("cam", layer, method),), choose_indices, layout=layout)
    return Task(
        name="classification",
        loaded=loaded,
        layer=layer,
        size=size,
        forward=loaded.tapped(layer),
        plan=Plan(preprocessing, spec, (), summarise_indices),
        settings={"label": label, "top_k": top_k},
        encode=encode,
        record=record,
        describe=describe,
    )


def describe_classes(classes: Sequence[ImageNetClass], results: Mapping[str, np.ndarray]) -> Description:
    """Says which classes of a photo were explained, and what the model takes the photo for."""
    rows = [_row(classes[int(results["targets"][place])], place, results) for place in target_places(results)]
    predictions = [
        (classes[int(index)], float(probability))
        for index, probability in zip(results["top"], results["top_probabilities"], strict=True)
    ]
    lines = ["predictions:"]
    lines += [
        f"  {percent(p):>6}  {class_.name}  (label {class_.label}{', ' * bool(class_.wnid)}{class_.wnid})"
        for class_, p in predictions
    ]
    lines += ["explained:"]
    lines += [
        f"  {row.name}  label {row.fields['label']}, index {row.fields['class_index']}, score {row.score:.4f}"
        + blank_note(row.cam)
        for row in rows
    ]
    fields = {
        "targets": [
            {**row.fields, "score": row.score, "all_negative": row.all_negative, **row.map_fields} for row in rows
        ],
        "predictions": [
            {"class_index": class_.index, "name": class_.name, "probability": p} for class_, p in predictions
        ],
    }
    heading = "Why " + " and why ".join(row.name for row in rows) + "?"
    return Description(heading, predictions[0][0].name, rows, lines=lines, fields=fields)


def _row(class_: ImageNetClass, place: int, results: Mapping[str, np.ndarray]) -> Row:
    score, cam = float(results["scores"][place]), np.asarray(results["cam"][place])
    probability, rank = float(results["probabilities"][place]), int(results["ranks"][place]) + 1
    title = f"{class_.name}: logit {score:.2f}, probability {percent(probability)} (rank {rank})"
    fields: dict[str, Any] = {
        "label": class_.label,
        "class_index": class_.index,
        "name": class_.name,
        "wnid": class_.wnid,
        "probability": probability,
        "rank": rank,
        "strength": strength_of(cam),
    }
    return Row(
        class_.name,
        str(class_.label),
        title if cam.max() > 0 else f"{title} - no position speaks for it",
        score,
        cam,
        fields,
        **guided_parts(results, place),
        maps=other_maps(results, place),
    )

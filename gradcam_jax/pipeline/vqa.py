"""Answers about many photos: one question for all, or each line's own."""

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
from gradcam_jax.text.questions import encode_question
from gradcam_jax.zoo.question_models import QuestionModel, example_inputs


def vqa_job(
    model: QuestionModel,
    recipe: Preprocessing,
    size: int,
    *,
    layer: str,
    methods: tuple[str, ...] = ("grad_cam",),
    question: str = "",
    answers: str = "",
    top_k: int = 1,
    in_bfloat16: bool = False,
) -> Job:
    """Returns the job of explaining answers.

    Args:
        model: The model, its words and its answers.
        recipe: The preprocessing.
        size: Side of the network's image, in pixels.
        layer: The CNN's layer to map.
        methods: What is computed, of :data:`gradcam_jax.pipeline.job.METHODS`.
        question: The question for every photo that brings none itself.
        answers: Comma-separated answers for every photo that names none itself; empty: the predicted ones.
        top_k: Targets a photo: so many of the most probable answers, or at most so many named ones.
        in_bfloat16: Whether the CNN is computed in bfloat16 up to the layer.

    Raises:
        InputError: If an answer is unknown or there are more answers than targets.
    """
    net, variables = model.model, model.variables
    if in_bfloat16:
        variables = trunk_in_bfloat16(net, variables, layer, *example_inputs(model.entry, size))

    def wanted(text: str) -> np.ndarray:
        return wanted_indices(text, top_k, model.answers.find, what="answers")

    wanted(answers)  # What is wrong with them is wrong for every photo.

    def request(item: Item) -> dict[str, np.ndarray]:
        asked = encode_question(item.request.get("question", question), model.words)
        indices = wanted(item.request.get("answer", answers))
        return {"ids": np.asarray(asked.ids), "length": np.asarray(asked.length, np.int32), "wanted": indices}

    def explain(_: Any, head: Head, image: jax.Array, inputs: Inputs) -> Results:
        return explain_indices(head(), layer, inputs["wanted"], image, *_question(inputs))

    def scores(head: Head, image: jax.Array, inputs: Inputs, results: Results) -> jax.Array:
        return scores_at_targets(head(), results, image, *_question(inputs))

    name_of = model.answers.entries.__getitem__
    return Job(
        settings={
            "task": "vqa",
            "model": model.name,
            "layer": layer,
            "methods": methods,
            "question": question,
            "answer": answers,
            "top_k": top_k,
        },
        recipe=recipe,
        size=size,
        model=net,
        guided_model=net.clone(cnn=net.cnn.clone(relu=guided(net.cnn.relu))),
        variables=variables,
        layer=layer,
        request=request,
        trunk_options={"method": "features"},
        explain=explain,
        scores=scores,
        describe=functools.partial(describe_targets, name_of=name_of),
        titles=functools.partial(target_titles, name_of=name_of),
        in_bfloat16=in_bfloat16,
    )


def _question(inputs: Inputs) -> tuple[jax.Array, jax.Array]:
    return inputs["ids"], inputs["length"]

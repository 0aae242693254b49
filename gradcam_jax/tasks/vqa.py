"""Visual question answering: a target is an answer, its score the number before the softmax, softened or not."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.attribution.maps import counterfactual_grad_cam, grad_cam
from gradcam_jax.engine.scores import softened
from gradcam_jax.engine.spec import Replacement, Spec
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
from gradcam_jax.tasks.task import (
    DEFAULT_SETTING,
    Plan,
    Request,
    Setting,
    Task,
    preprocessing_and_size,
    temperature_of,
    temperature_setting,
)
from gradcam_jax.text.questions import encode_question
from gradcam_jax.zoo import Loaded, find_answer, find_layer

WORDS_LAYER = "word_embedding"
"""The layer whose activations are the vectors of the question's words."""


def vqa(
    loaded: Loaded,
    setting: Setting = DEFAULT_SETTING,
    *,
    question: str = "",
    answer: str = "",
    top_k: int = 1,
    max_targets: int = 0,
    temperature: float = 0.0,
) -> Task:
    """Returns the task of explaining answers to questions.

    A word's importance is by how much an answer's score falls with an average word in its place.

    The gradient passes through the fusion and through the normalisation of the CNN's features. Guided
    backpropagation guides every ReLU of the CNN, those of its fully connected layers too; the question's side has
    none.

    Args:
        loaded: A VQA model.
        setting: How it is fed and mapped.
        question: The question about every photo that brings none itself.
        answer: Comma-separated answers for every photo that names none itself; -1, or nothing, stands for the
            predicted ones.
        top_k: How many of the most probable answers -1 stands for.
        max_targets: Answers about every photo of a batch, at most: photos that ask for fewer have empty places.
            0: as many as each photo asks for.
        temperature: At which answers are scored, see :func:`gradcam_jax.engine.scores.softened_score`: infinite is
            the logit, the original program's; 0: the model's own, ``loaded.entry.temperature``.

    Raises:
        InputError: If there is no such answer, layer, preprocessing or temperature.

    References:
        Selvaraju et al., Grad-CAM, arXiv:1610.02391, section 7.2; ramprs/grad-cam,
        ``visual_question_answering.lua``.
    """
    preprocessing, size = preprocessing_and_size(loaded, setting)
    layer = find_layer(loaded, setting.layer, size)
    require_top_k(answer, top_k, len(loaded.labels), what="answer")
    temperature = temperature_of(loaded, temperature, original=math.inf)

    def read(text: str) -> np.ndarray:
        return encode_targets(
            text, top_k, lambda name: find_answer(loaded, name), places=max_targets, what="answers"
        )

    read(answer)  # what is wrong with it is wrong for every photo

    def encode(request: Request) -> dict[str, np.ndarray]:
        encoded = encode_question(request.get("question") or question, loaded.words)
        own = request.get("answer", "")
        return {
            "ids": encoded.ids,
            "length": np.asarray(encoded.length, np.int32),
            "targets": read(own if own.strip() else answer),
        }

    def record(results: Mapping[str, np.ndarray], request: Request) -> dict[str, Any]:
        text = request.get("question") or question
        asked = {"question": text, "answer": request.get("answer", "").strip() or answer.strip() or PREDICTED}
        tokens = list(encode_question(text, loaded.words).tokens)
        return {"request": asked, **record_indices(results, loaded.labels.entries), "tokens": tokens}

    def describe(results: Mapping[str, np.ndarray], request: Request) -> Description:
        return describe_answers(loaded, results, request.get("question") or question)

    method = counterfactual_grad_cam if setting.counterfactual else grad_cam
    words = Replacement("word_importances", WORDS_LAYER, average_word(loaded), _length)
    spec = Spec(softened(temperature), (("cam", layer, method),), choose_indices, replaced=(words,))
    return Task(
        name="vqa",
        loaded=loaded,
        layer=layer,
        size=size,
        forward=loaded.tapped(layer),
        plan=Plan(preprocessing, spec, ("ids", "length"), summarise_indices),
        settings={
            "question": question,
            "answer": answer,
            "top_k": top_k,
            "temperature": temperature_setting(temperature),
        },
        encode=encode,
        record=record,
        describe=describe,
    )


def average_word(loaded: Loaded) -> tuple[float, ...]:
    """Returns the mean vector of the words that a VQA model knows: what a word's worth is measured against."""
    embedding = loaded.variables["params"][WORDS_LAYER]
    return tuple(np.tanh(np.asarray(embedding["kernel"]) + np.asarray(embedding["bias"])).mean(axis=0).tolist())


def _length(ids: jax.Array, length: jax.Array) -> jax.Array:
    return jnp.minimum(length, ids.shape[-1])


def describe_answers(loaded: Loaded, results: Mapping[str, np.ndarray], text: str) -> Description:
    """Says which answers about a photo were explained, which words mattered, and what the model answers.

    Args:
        loaded: The model.
        results: One photo's.
        text: The question.
    """
    question, answers = encode_question(text, loaded.words), loaded.labels.entries
    rows = []
    for place in target_places(results):
        name, cam = answers[int(results["targets"][place])], np.asarray(results["cam"][place])
        probability, rank = float(results["probabilities"][place]), int(results["ranks"][place]) + 1
        title = f"{name}: probability {percent(probability)} (rank {rank})"
        importances = np.asarray(results["word_importances"][place])[: question.length].tolist()
        rows.append(
            Row(
                name,
                name,
                title if cam.max() > 0 else f"{title} - no position speaks for it",
                float(results["scores"][place]),
                cam,
                {"answer": name, "probability": probability, "rank": rank, "strength": strength_of(cam)},
                **guided_parts(results, place),
                maps=other_maps(results, place),
                tokens=tuple(zip(question.tokens, importances, strict=True)),
            )
        )
    predictions = [
        (answers[int(index)], float(probability))
        for index, probability in zip(results["top"], results["top_probabilities"], strict=True)
    ]
    lines = [f"question: {text}"]
    unknown = [token for token, known in zip(question.tokens, question.known, strict=True) if not known]
    if unknown:
        lines.append(f"  words the model does not know, read as UNK: {', '.join(unknown)}")
    if question.dropped:
        lines.append(f"  only its first {question.length} words are read, {question.dropped} are cut off")
    lines += ["predicted answers:", *(f"  {percent(probability):>6}  {name}" for name, probability in predictions)]
    lines += ["explained:", *(f"  {row.name}  score {row.score:.4f}{blank_note(row.cam)}" for row in rows)]
    fields: dict[str, Any] = {
        "question": text,
        # The importances for the first answer; each answer's own are with the answer.
        "question_tokens": [
            {"token": token, "known": known, "importance": importance}
            for row in rows[:1]
            for (token, importance), known in zip(row.tokens, question.known, strict=True)
        ],
        "dropped_tokens": question.dropped,
        "predictions": [{"answer": name, "probability": probability} for name, probability in predictions],
        "targets": [
            {
                **row.fields,
                "score": row.score,
                "all_negative": row.all_negative,
                "word_importances": [importance for _, importance in row.tokens],
                **row.map_fields,
            }
            for row in rows
        ],
    }
    return Description(text[:100], predictions[0][0], rows, lines=lines, fields=fields)

"""Visual question answering: a target is an answer, its score the number before the softmax."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradcam_jax.attribution.gradients import linearize
from gradcam_jax.attribution.maps import grad_cam
from gradcam_jax.attribution.relu_rules import guided
from gradcam_jax.engine.explanation import CamMethod, Explanation, explain_targets
from gradcam_jax.interception.linen import tapped
from gradcam_jax.models.vqa import VQA

WORDS_LAYER = "word_embedding"
"""The layer whose activations are the words' vectors."""


class AnswerExplanation(NamedTuple):
    """Why the model gave each answer its score.

    Attributes:
        image: What the photo has to do with it; ``outputs`` are all answers' scores, ``(answers,)``.
        words: What each word has to do with it, ``(targets, time)``, signed; 0 past the question's end.
    """

    image: Explanation
    words: jax.Array


def answer_score(scores: jax.Array, answer_index: jax.Array) -> jax.Array:
    """Returns the score of one answer, 0-based: what the original program explains."""
    return scores[answer_index]


def explain_answers(
    model: VQA,
    variables: Mapping[str, Any],
    layer: str,
    image: jax.Array,
    ids: jax.Array,
    length: jax.Array,
    answer_indices: jax.Array,
    *,
    method: CamMethod = grad_cam,
) -> AnswerExplanation:
    """Explains several answers to one question about one image, from one forward pass of the CNN.

    The gradient passes through the fusion and through the normalisation of the CNN's features. Guided
    backpropagation guides every ReLU of the CNN, those of its fully connected layers too; the question's
    side has none. A pure function of the arrays: another photo, question or answer compiles nothing.

    Args:
        model: The model.
        variables: Its variables.
        layer: The CNN's layer to map, such as ``"cnn/relu5_4"``.
        image: What the CNN takes, ``(H, W, 3)`` float32.
        ids: Word indices, ``(time,)`` int, left-aligned.
        length: Number of words, a scalar int.
        answer_indices: 0-based answers, ``(targets,)`` int.
        method: Makes a map from activations and gradients. ``counterfactual_grad_cam`` shows what would have
            to go for the model to be surer of the answer.

    Returns:
        An :class:`AnswerExplanation`.
    """
    guided_model = model.clone(cnn=model.cnn.clone(relu=guided(model.cnn.relu)))
    question = ids, length
    explanation = explain_targets(
        tapped(model, variables, layer),
        tapped(guided_model, variables, ()),
        answer_score,
        layer,
        image,
        answer_indices,
        *question,
        method=method,
    )
    words = jax.vmap(lambda answer: word_importances(model, variables, image, *question, answer))(answer_indices)
    return AnswerExplanation(explanation, words)


def word_importances(
    model: VQA,
    variables: Mapping[str, Any],
    image: jax.Array,
    ids: jax.Array,
    length: jax.Array,
    answer_index: jax.Array,
) -> jax.Array:
    r"""Returns how much each word of the question speaks for an answer: gradient times input.

    .. math:: I_t = \sum_d \frac{\partial y^a}{\partial e_{td}} e_{td}

    with :math:`e_t` the vector of word t and :math:`y^a` the answer's score: to first order, what the score
    would lose without the word.

    Returns:
        ``(time,)`` float32, signed; exactly 0 past the question's end.

    References:
        Shrikumar et al., Not Just a Black Box, arXiv:1605.01713.
    """
    forward = tapped(model, variables, WORDS_LAYER)
    score = linearize(forward, lambda scores: answer_score(scores, answer_index), image, ids, length)
    return jnp.sum(score.gradients[WORDS_LAYER] * score.activations[WORDS_LAYER], axis=-1)

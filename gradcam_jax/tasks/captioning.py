"""Image captioning: a target is a span of the caption's words, its score the sum of their log-probabilities."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gradcam_jax.attribution.gradients import linearize
from gradcam_jax.attribution.maps import grad_cam
from gradcam_jax.engine.explanation import CamMethod, Explanation, explain_targets
from gradcam_jax.interception.linen import tapped
from gradcam_jax.models.captioner import MAX_WORDS, Captioner, guided_captioner
from gradcam_jax.models.decoding import Decoded, State, Step, beam_search, sample

Variables = Mapping[str, Any]


def span_score(word_scores: jax.Array, mask: jax.Array) -> jax.Array:
    r"""Adds up the log-probabilities of the marked words.

    .. math:: S = \sum_j m_j \log p(w_j \mid x, w_{<j})

    With every word marked this is the original program's score: no term for END, no division by the length.

    Args:
        word_scores: Log-probability of each word after those before it, ``(MAX_WORDS,)``.
        mask: 1 where a word counts, 0 elsewhere, ``(MAX_WORDS,)``.
    """
    return jnp.sum(word_scores * mask)


def explain_caption(
    model: Captioner,
    variables: Variables,
    layer: str,
    image: jax.Array,
    tokens: jax.Array,
    masks: jax.Array,
    *,
    method: CamMethod = grad_cam,
) -> Explanation:
    """Explains spans of a caption: the whole, each word, any phrase; from one forward pass of the CNN.

    A pure function of the arrays; ``jax.jit`` it. The signed maps of the words add up to the caption's.

    Args:
        model: A captioner.
        variables: Its variables.
        layer: The layer whose activations are mapped, such as ``"cnn/head_relu"``.
        image: What the CNN takes, ``(H, W, 3)`` float32.
        tokens: The caption, ``(MAX_WORDS,)`` int; what pads it does not matter.
        masks: The words that each target is about, ``(targets, MAX_WORDS)`` float32.
        method: Makes a map from activations and gradients.

    Returns:
        An :class:`Explanation`; ``outputs`` are the words' log-probabilities, ``(MAX_WORDS,)``.

    References:
        Selvaraju et al., Grad-CAM, arXiv:1610.02391, section 7.1; ramprs/grad-cam, ``captioning.lua``.
    """
    forward = tapped(model, variables, layer, method="word_scores")
    guided_forward = tapped(guided_captioner(model), variables, (), method="word_scores")
    return explain_targets(forward, guided_forward, span_score, layer, image, masks, tokens, method=method)


def explain_maps(
    model: Captioner,
    variables: Variables,
    layer: str,
    image: jax.Array,
    tokens: jax.Array,
    masks: jax.Array,
    *,
    method: CamMethod = grad_cam,
) -> jax.Array:
    """Returns the signed maps alone, ``(targets, h, w)``: one forward pass, and no backward pass to the pixels.

    Args:
        model: A captioner.
        variables: Its variables.
        layer: The layer whose activations are mapped.
        image: What the CNN takes, ``(H, W, 3)``.
        tokens: The caption, ``(MAX_WORDS,)`` int.
        masks: The words that each target is about, ``(targets, MAX_WORDS)``.
        method: Makes a map from activations and gradients.
    """
    forward = tapped(model, variables, layer, method="word_scores")

    def explain(mask: jax.Array) -> jax.Array:
        _, activations, gradients = linearize(forward, lambda scores: span_score(scores, mask), image, tokens)
        return method(activations[layer], gradients[layer], rectify=False)

    return jax.vmap(explain)(masks)


def write_captions(
    model: Captioner,
    variables: Variables,
    image: jax.Array,
    *,
    width: int = 1,
    length_exponent: float = 0.0,
) -> Decoded:
    """Writes the likeliest captions of one image by beam search; width 1 is the original program's greedy choice.

    Args:
        model: A captioner.
        variables: Its variables.
        image: What the CNN takes, ``(H, W, 3)``.
        width: Number of beginnings kept, and of captions returned.
        length_exponent: See :func:`gradcam_jax.models.decoding.beam_search`.

    Returns:
        ``width`` captions, best first.
    """
    vector = model.apply(variables, image, method="image_vector")
    return captions_from_vector(model, variables, vector, width=width, length_exponent=length_exponent)


def captions_from_vector(
    model: Captioner, variables: Variables, vector: Any, *, width: int = 1, length_exponent: float = 0.0
) -> Decoded:
    """Does what :func:`write_captions` does from the image's vector, ``(embedding_size,)``; needs no CNN."""
    state, step = _writer(model, variables, vector)
    return beam_search(step, state, width=width, end=model.words, steps=MAX_WORDS, length_exponent=length_exponent)


def sample_caption(
    model: Captioner, variables: Variables, image: jax.Array, key: jax.Array, *, temperature: float = 1.0
) -> Decoded:
    """Draws one caption of an image by chance.

    Args:
        model: A captioner.
        variables: Its variables.
        image: What the CNN takes, ``(H, W, 3)``.
        key: A PRNG key.
        temperature: Under 1 likely words become likelier still.
    """
    state, step = _writer(model, variables, model.apply(variables, image, method="image_vector"))
    return sample(step, state, key, end=model.words, steps=MAX_WORDS, temperature=temperature)


def _writer(model: Captioner, variables: Variables, vector: Any) -> tuple[State, Step]:
    state: State = model.apply(variables, vector, method="begin")
    step: Any = functools.partial(model.apply, variables, method="advance")
    return state, step

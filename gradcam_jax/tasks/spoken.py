"""What a captioner says of a photo: the caption it is asked about, its words' scores, the captions it writes."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp

from gradcam_jax.interception.linen import LinenProgram
from gradcam_jax.interception.tapped import Tapped
from gradcam_jax.models.captioner import MAX_WORDS, Captioner
from gradcam_jax.models.decoding import Decoded, State, beam_search
from gradcam_jax.models.word_scores import WordScores


class Spoken(NamedTuple):
    """What a captioner says of one photo.

    Attributes:
        tokens: The caption explained: the one given, else the best one written, ``(MAX_WORDS,)`` int32.
        length: Its number of words, () int32.
        words: Each word's log-probability and score after those before it, ``(MAX_WORDS,)``.
        written: The captions that the model writes itself, best first; None where it was not asked to.
    """

    tokens: jax.Array
    length: jax.Array
    words: WordScores
    written: Decoded | None


def span_score(spoken: Spoken, mask: jax.Array) -> jax.Array:
    r"""Adds up the scores of the marked words, at a temperature of 1 their log-probabilities.

    .. math:: S = \sum_j m_j \log p(w_j \mid x, w_{<j})

    With every word marked this is the original program's score: no term for END, no division by the length.

    Args:
        spoken: What the captioner says.
        mask: 1 where a word counts, 0 elsewhere, ``(MAX_WORDS,)``.
    """
    return jnp.sum(spoken.words.scores * mask)


@functools.cache
def speaking(beam_size: int, length_exponent: float, temperature: float = 1.0) -> Callable[..., Spoken]:
    """Returns the captioner's method ``(image, tokens, length) -> Spoken``, for :func:`gradcam_jax.tapped`.

    Where the length is 0 no caption is given, and the best one that the model writes is read: writing and reading
    share the image's forward pass. No gradient passes the choice of words.

    Args:
        beam_size: Beams kept while captions are written.
        length_exponent: See :func:`gradcam_jax.models.decoding.beam_search`.
        temperature: Of the words' scores: see :func:`gradcam_jax.models.word_scores.word_scores`.
    """

    def speak(model: Captioner, image: jax.Array, tokens: jax.Array, length: jax.Array) -> Spoken:
        vector = model.image_vector(image)
        # A copy of its own: a bound module cannot run inside the search's loop.
        writer, variables = model.clone(parent=None), {"params": model.variables["params"]}

        def write(vector: jax.Array) -> Decoded:
            return write_captions(writer, variables, vector, width=beam_size, length_exponent=length_exponent)

        written = jax.vmap(write)(jax.lax.stop_gradient(vector))
        tokens = jnp.where((length > 0)[:, jnp.newaxis], tokens, written.tokens[:, 0])
        length = jnp.where(length > 0, length, written.length[:, 0])
        return Spoken(tokens, length, model.read_words(vector, tokens, temperature), written)

    return speak


@functools.cache
def reading(temperature: float) -> Callable[..., Spoken]:
    """Returns what scores a given caption as :func:`speaking` does, without writing one of the model's own."""

    def read(model: Captioner, image: jax.Array, tokens: jax.Array, length: jax.Array) -> Spoken:
        return Spoken(tokens, length, model.read_words(model.image_vector(image), tokens, temperature), None)

    return read


@functools.cache
def reading_again(temperature: float) -> Callable[..., tuple[Tapped, tuple[Any, ...]]]:
    """Returns what lets other images be asked about the caption explained, not about one that they bring about."""

    def read_again(forward: Tapped, outputs: Spoken, inputs: tuple[Any, ...]) -> tuple[Tapped, tuple[Any, ...]]:
        del inputs
        program = dataclasses.replace(
            cast(LinenProgram, forward.program), options=(("method", reading(temperature)),)
        )
        return dataclasses.replace(forward, program=program), (outputs.tokens, outputs.length)

    return read_again


def write_captions(
    model: Captioner, variables: Any, vector: Any, *, width: int = 1, length_exponent: float = 0.0
) -> Decoded:
    """Writes the most probable captions of one image from its vector, by beam search; needs no CNN.

    Args:
        model: A captioner.
        variables: Its variables, the CNN's left out or not.
        vector: The image's, ``(embedding_size,)``.
        width: Number of beams kept, and of captions returned; 1 is the original program's greedy choice.
        length_exponent: See :func:`gradcam_jax.models.decoding.beam_search`.

    Returns:
        ``width`` captions, best first.
    """
    state: State = model.apply(variables, vector, method="begin")
    step: Any = functools.partial(model.apply, variables, method="advance")
    return beam_search(step, state, width=width, end=model.words, steps=MAX_WORDS, length_exponent=length_exponent)

r"""Teaches a captioner's head where to look: a noun's map should lie on what it names.

The captioner reads the mean f of the last convolution's activations :math:`A_p`, so that the Grad-CAM of a word
with the score :math:`s_t` after the words before it is :math:`L_p = A_p \cdot \partial s_t / \partial f`. The term
of the loss is that of :mod:`gradcam_jax.experiments.training.located`. It holds second derivatives of the head, so
that its gradient is up to forty times the captions': its norm is bounded, or nothing else would be learnt.

Where the decoder also reads evidence, a map has two parts, :math:`L = L^h + L^e`, one through the LSTM and one
through the evidence. The first learns the training views by heart, and on another photo it is often high beside
the thing. Its share :math:`\operatorname{var} L^h / (\operatorname{var} L^h + \operatorname{var} L^e)`, over the
positions, is a second term.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.experiments.data.located_captions import LocatedCaptions
from gradcam_jax.experiments.training.located import location_term
from gradcam_jax.models.captioner import Captioner

LOCATED = 32
"""Located examples of a batch."""

_FLAT = 1e-6  # a map's variance below which it counts as flat


class Located:
    """What a batch's located nouns are scored by: the activations at each position, and where the object is."""

    def __init__(self, captions: LocatedCaptions, activations: np.ndarray) -> None:
        """Takes the captions and their views' activations, ``(views, positions, F)`` float16."""
        self.captions, self.activations = captions, activations

    def draw(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Returns :data:`LOCATED` examples: see :meth:`LocatedCaptions.draw`, the views' ``activations`` added."""
        drawn = dict(self.captions.draw(rng, LOCATED))
        views = drawn.pop("view")
        return {**drawn, "activations": self.activations[views]}


class NounMaps(NamedTuple):
    """What a batch's nouns' maps are like, each a mean over them.

    Attributes:
        beside: How little of a map lies on what it names.
        pointing: How often its highest point does.
        through_lstm: The share of a map's variance that comes through the LSTM, not through evidence; 0 where the
            captioner has no evidence.
    """

    beside: jax.Array
    pointing: jax.Array
    through_lstm: jax.Array


def noun_maps(
    model: Captioner,
    params: Any,
    image_vector: Callable[[jax.Array], jax.Array],
    batch: Mapping[str, jax.Array],
    temperature: float,
) -> NounMaps:
    """Returns what the nouns' maps are like.

    Args:
        model: The captioner.
        params: Its parameters, those of the words, the LSTM and the decoder.
        image_vector: From the CNN's features ``(n, F)`` to the LSTM's first input.
        batch: What :meth:`Located.draw` returns.
        temperature: Of the nouns' scores, see :func:`gradcam_jax.models.word_scores.word_scores`.
    """
    activations = batch["activations"].astype(jnp.float32)
    noun = batch["noun"]

    def score(read_by_lstm: jax.Array, evidence: jax.Array) -> jax.Array:
        arguments: Any = read_by_lstm, batch["tokens"], noun, temperature
        scores = model.apply({"params": params}, *arguments, evidence=evidence, method="read_word")
        return jnp.sum(jnp.asarray(scores))

    vector, to_features = jax.vjp(image_vector, jnp.mean(activations, axis=1))
    by_lstm, by_evidence = (
        jnp.einsum("npf,nf->np", activations, *to_features(derivative))
        for derivative in jax.grad(score, (0, 1))(vector, vector)
    )
    beside, pointing = location_term(by_lstm + by_evidence, batch["inside"], jnp.ones(len(noun)))
    if not model.evidence:
        return NounMaps(beside, pointing, jnp.zeros(()))
    variance, other = jnp.var(by_lstm, axis=-1), jnp.var(by_evidence, axis=-1)
    return NounMaps(beside, pointing, jnp.mean(variance / (variance + other + _FLAT)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def with_bounded_gradient(params: Any, bound: float) -> Any:
    """Returns the parameters as they are; the norm of what is propagated back to them is at most a bound."""
    del bound
    return params


def _with_bounded_gradient(params: Any, bound: float) -> tuple[Any, None]:
    return with_bounded_gradient(params, bound), None


def _bounded(bound: float, _: None, gradients: Any) -> tuple[Any]:
    squares = sum(jnp.sum(leaf * leaf) for leaf in jax.tree.leaves(gradients))
    factor = bound / jnp.maximum(jnp.sqrt(squares), bound)
    return (jax.tree.map(lambda leaf: leaf * factor, gradients),)


with_bounded_gradient.defvjp(_with_bounded_gradient, _bounded)

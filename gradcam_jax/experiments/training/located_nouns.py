r"""Teaches a captioner's head where to look: a noun's map should lie on what it names.

The captioner reads the mean f of the last convolution's activations :math:`A_p`, so that the Grad-CAM of a word
with the score :math:`s_t` after the words before it is :math:`L_p = A_p \cdot \partial s_t / \partial f`. The term
of the loss is that of :mod:`gradcam_jax.experiments.training.located`. It holds second derivatives of the head, so
that its gradient is up to forty times the captions': its norm is bounded, or nothing else would be learnt.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.experiments.data.located_captions import LocatedCaptions
from gradcam_jax.experiments.training.located import location_term
from gradcam_jax.models.captioner import Captioner

LOCATED = 32
"""Located examples of a batch."""


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


def noun_location_loss(
    model: Captioner,
    params: Any,
    image_vector: Callable[[jax.Array], jax.Array],
    batch: Mapping[str, jax.Array],
    temperature: float,
) -> tuple[jax.Array, jax.Array]:
    """Returns how little of the nouns' maps lies on their objects, and how often the highest point does.

    Args:
        model: The captioner.
        params: Its parameters, those of the words, the LSTM and the decoder.
        image_vector: From the CNN's features ``(n, F)`` to the LSTM's first input.
        batch: What :meth:`Located.draw` returns.
        temperature: Of the nouns' scores, see :func:`gradcam_jax.models.word_scores.word_scores`.
    """
    activations = batch["activations"].astype(jnp.float32)
    tokens, noun = batch["tokens"], batch["noun"]

    def score(features: jax.Array) -> jax.Array:
        arguments = image_vector(features), tokens, noun, temperature
        scores = model.apply({"params": params}, *arguments, method="read_word")
        return jnp.sum(jnp.asarray(scores))

    gradients = jax.grad(score)(jnp.mean(activations, axis=1))
    maps = jnp.einsum("npf,nf->np", activations, gradients)
    return location_term(maps, batch["inside"], jnp.ones(len(noun)))


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

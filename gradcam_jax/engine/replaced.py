"""How much of a score is lost with another vector in a token's place: what the words of a question are worth.

A gradient says what a small change of a word's vector does, but words change as a whole. So the model is evaluated
with another vector in the place of each, from the mapped layer on: the image's side runs once.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradcam_jax.engine.batches import batched
from gradcam_jax.engine.precision import precision_of
from gradcam_jax.engine.spec import Spec
from gradcam_jax.interception.tapped import Tapped


class Replacement(NamedTuple):
    """What is put in a token's place; hashable, so that a compiled program is found by it.

    Attributes:
        name: Of the result.
        layer: Whose activations are the tokens' vectors, ``(tokens, k)``.
        vector: What stands in for a token's, k numbers.
        count: From the model's further inputs of one example to the number of its tokens.
    """

    name: str
    layer: str
    vector: tuple[float, ...]
    count: Callable[..., jax.Array]


def replacement_drops(
    forward: Tapped,
    activations: jax.Array,
    images: jax.Array,
    targets: Any,
    inputs: tuple[Any, ...],
    spec: Spec,
    replacement: Replacement,
) -> jax.Array:
    r"""Returns by how much each target's score falls when one token after the other is replaced.

    .. math:: d_t = y(e_1, ..., e_t, ...) - y(e_1, ..., \bar e, ...)

    Args:
        forward: The model tapped at the mapped layer, on which the tokens have no influence.
        activations: From :func:`gradcam_jax.engine.core.activations_of`, of the same model and images.
        images: What the model takes, ``(n, H, W, 3)``.
        targets: Tree with leading axes ``(n, targets)``.
        inputs: Further inputs of the model with a leading axis n.
        spec: The score, and what is mapped.
        replacement: What is put in whose place.

    Returns:
        ``(n, targets, tokens)`` float32, 0 past an example's tokens.

    References:
        Li et al., Understanding Neural Networks through Representation Erasure, arXiv:1612.08220.
    """
    layer = forward.layers[0]
    head = forward.at((layer, replacement.layer)).resumed(layer)

    def drops_of(activation: jax.Array, image: jax.Array, targets: Any, *inputs: Any) -> jax.Array:
        def scores_with(taps: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
            outputs, tapped = head(taps, activation, image, *inputs)
            return jax.vmap(lambda target: spec.score(outputs, target))(targets), tapped[replacement.layer]

        scores, vectors = scores_with({})
        vector = jnp.asarray(replacement.vector, vectors.dtype)

        def replace(place: jax.Array, drops: jax.Array) -> jax.Array:
            change = jnp.zeros_like(vectors).at[place].set(vector - vectors[place])
            return drops.at[:, place].set(scores - scores_with({replacement.layer: change})[0])

        drops = jnp.zeros((len(scores), len(vectors)), scores.dtype)
        return jax.lax.fori_loop(0, replacement.count(*inputs), replace, drops)

    with precision_of(forward):
        return batched(drops_of, activations, images, targets, *inputs).astype(jnp.float32)

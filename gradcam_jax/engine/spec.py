"""What is asked of a batch: the score of a target, the maps, which targets, which guided gradients."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradcam_jax.attribution.gradients import Outputs
from gradcam_jax.attribution.layouts import Layout, channels_last

TargetScore = Callable[[Outputs, Any], jax.Array]
MapMethod = Callable[..., jax.Array]
Choice = Callable[[Outputs, Any], Any]


class Replacement(NamedTuple):
    """What is put in the place of a model's tokens, to see what each is worth.

    Attributes:
        name: Of the result among the maps, ``(n, targets, tokens)`` float32.
        layer: Whose activations are the tokens' vectors, ``(tokens, k)``.
        vector: What stands in for a token's, k numbers.
        count: From the model's further inputs of one example to the number of its tokens.
    """

    name: str
    layer: str
    vector: tuple[float, ...]
    count: Callable[..., jax.Array]


class Spec(NamedTuple):
    """What is computed; hashable, so that a compiled program is found by it.

    Attributes:
        score: ``score(outputs, target) -> scalar``, for one example.
        maps: Names of the maps, each with the layer and the method that makes it.
        choose: ``choose(outputs, targets) -> targets`` of one example: the targets as given, or taken from the
            outputs.
        guided: Whether guided backpropagation is computed.
        guided_targets: Which of the targets it is computed for: start, stop and step of a slice.
        layout: How the mapped layers' axes are arranged.
        replaced: What is put in the place of tokens.
    """

    score: TargetScore
    maps: tuple[tuple[str, str, MapMethod], ...]
    choose: Choice
    guided: bool = False
    guided_targets: tuple[int | None, int | None, int | None] = (None, None, None)
    layout: Layout = channels_last
    replaced: tuple[Replacement, ...] = ()


def class_score(logits: jax.Array, class_index: jax.Array) -> jax.Array:
    """Returns the logit of one class, 0-based: the score that the original program explains.

    Args:
        logits: ``(classes,)``.
        class_index: A scalar int; a negative one stands for no target, whose score is 0.
    """
    logit = logits[jnp.maximum(class_index, 0)]
    return jnp.where(class_index >= 0, logit, jnp.zeros_like(logit))


def as_given(outputs: Outputs, targets: Any) -> Any:
    """Chooses the targets that were given, whatever the outputs."""
    del outputs
    return targets


def all_classes(outputs: jax.Array) -> jax.Array:
    """Chooses every class, in order: the targets of :func:`gradcam_jax.explain` that map all classes."""
    return jnp.arange(outputs.shape[-1])


def top_k(count: int) -> Callable[[jax.Array], jax.Array]:
    """Returns the choice of the highest outputs, for the targets of :func:`gradcam_jax.explain`.

    Args:
        count: How many.

    Example:
        >>> import jax.numpy as jnp
        >>> top_k(2)(jnp.array([0.1, 0.7, 0.2])).tolist()
        [1, 2]
    """
    return _top_k(count)


@functools.cache
def _top_k(count: int) -> Callable[[jax.Array], jax.Array]:
    def choose(outputs: jax.Array) -> jax.Array:
        return jax.lax.top_k(outputs, count)[1]

    return choose


@functools.cache
def from_outputs(choose: Callable[[Outputs], Any]) -> Choice:
    """Returns a choice that looks at the outputs alone; always the same function for the same choice."""

    def choose_targets(outputs: Outputs, targets: Any) -> Any:
        del targets
        return choose(outputs)

    return choose_targets

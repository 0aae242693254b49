"""One forward pass and the gradient of a score at every tapped activation.

A *forward* is a pure function ``forward(taps, *inputs) -> (outputs, activations)``: ``taps`` maps a layer
name to a value that is added to that layer's activation, and ``activations`` holds every tapped layer's
activation, the added value included. A *score* is a function from the outputs to a scalar.

The gradient with respect to an added zero is the gradient with respect to the activation, and because the
layers below the tap do not depend on it, their backward pass is never built: Grad-CAM costs one forward
pass and the backward pass of the head alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Outputs = Any
Activations = dict[str, jax.Array]
Forward = Callable[..., tuple[Outputs, Activations]]
Score = Callable[[Outputs], jax.Array]


class Linearization(NamedTuple):
    """A score to first order in the tapped activations.

    Attributes:
        outputs: What the model returned, untouched.
        activations: Layer name -> activation, shape ``(h, w, k)`` for a convolution of one image.
        gradients: Layer name -> gradient of the score, of the activation's shape and dtype.
    """

    outputs: Outputs
    activations: Activations
    gradients: Activations


def pullback(forward: Forward, *inputs: Any) -> tuple[Outputs, Activations, Callable[[Score], Activations]]:
    """Runs a forward pass once and returns what brings any score of its outputs back to the tapped layers.

    For targets that are only known once the outputs are, such as the highest predictions: choose them from the
    outputs, and ``jax.vmap`` the last result over them. :func:`linearize` is this for one score.

    Args:
        forward: A tapped model, as :func:`gradcam_jax.tapped` makes it.
        *inputs: What the forward takes after the taps.

    Returns:
        The outputs, the activations, and a function from a score to its gradients, layer name -> gradient; it
        raises ValueError if the score is not a scalar.

    Example:
        >>> import jax.numpy as jnp
        >>> def forward(taps, x):
        ...     hidden = 2.0 * x + taps.get("hidden", jnp.zeros_like(x))
        ...     return hidden**2, {"hidden": hidden}
        >>> outputs, _, gradients_of = pullback(forward, jnp.array([3.0, 1.0]))
        >>> gradients_of(lambda outputs: outputs[jnp.argmax(outputs)])["hidden"]
        Array([12.,  0.], dtype=float32)
    """
    _, tapped = jax.eval_shape(lambda *arguments: forward({}, *arguments), *inputs)
    zeros = {name: jnp.zeros(leaf.shape, leaf.dtype) for name, leaf in tapped.items()}
    outputs, pull, activations = jax.vjp(lambda taps: forward(taps, *inputs), zeros, has_aux=True)

    def gradients_of(score: Score) -> Activations:
        shape = jax.eval_shape(score, outputs).shape
        if shape != ():
            raise ValueError(
                f"Expected the score to be a scalar, got shape {shape} instead. "
                "Pick one element of the outputs, and vmap over targets or examples."
            )
        return pull(jax.grad(score)(outputs))[0]

    return outputs, activations, gradients_of


def linearize(forward: Forward, score: Score, *inputs: Any) -> Linearization:
    """Returns the outputs, the activations and the gradients of a score at every tapped layer.

    Written for one example; ``jax.vmap`` gives batches (over the inputs) and several targets of one example
    (over what the score closes over, ``in_axes=(None, 0)``, so that the forward pass runs once).

    Args:
        forward: A tapped model, as :func:`gradcam_jax.tapped` makes it.
        score: Maps the outputs to a scalar, for example ``lambda logits: logits[label]``.
        *inputs: What the forward takes after the taps; an image is ``(H, W, 3)`` float32.

    Returns:
        A :class:`Linearization`.

    Raises:
        ValueError: If the score is not a scalar.

    Example:
        >>> import jax.numpy as jnp
        >>> def forward(taps, x):
        ...     hidden = 2.0 * x + taps.get("hidden", jnp.zeros_like(x))
        ...     return hidden**2, {"hidden": hidden}
        >>> linearize(forward, lambda outputs: outputs[0], jnp.array([3.0, 1.0])).gradients["hidden"]
        Array([12.,  0.], dtype=float32)

    References:
        Selvaraju et al., Grad-CAM, arXiv:1610.02391, section 3.
    """
    outputs, activations, gradients_of = pullback(forward, *inputs)
    return Linearization(outputs, activations, gradients_of(score))

"""One forward pass and the gradient of a score at every tapped layer.

A *forward* is a pure function ``forward(taps, *inputs) -> (outputs, activations)`` of one example: ``taps`` maps a
layer name to a value that is added to that layer's activation, and ``activations`` holds every tapped layer's
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


class LayerGrads(NamedTuple):
    """A forward pass and the gradients of one score.

    Attributes:
        outputs: What the model returned, untouched.
        activations: Layer name -> activation, shape ``(h, w, k)`` for a convolution of one image.
        gradients: Layer name -> gradient of the score, of the activation's shape and dtype.
    """

    outputs: Outputs
    activations: Activations
    gradients: Activations


def layer_vjp(forward: Forward, *inputs: Any) -> tuple[Outputs, Activations, Callable[[Outputs], Activations]]:
    """Runs a forward pass once and returns the vector-Jacobian product from the outputs to the tapped layers.

    For targets that are only known once the outputs are, such as the highest predictions: choose them from the
    outputs, and ``jax.vmap`` the product over their cotangents. :func:`layer_grads` is this for one score.

    Args:
        forward: A tapped model, as :func:`gradcam_jax.tapped` makes it.
        *inputs: What the forward takes after the taps.

    Returns:
        The outputs, the activations, and a function from a cotangent of the outputs (a value of their shape, for
        a score its gradient) to the gradients, layer name -> gradient.

    Example:
        >>> import jax.numpy as jnp
        >>> def forward(taps, x):
        ...     hidden = 2.0 * x + taps.get("hidden", jnp.zeros_like(x))
        ...     return hidden**2, {"hidden": hidden}
        >>> outputs, _, vjp = layer_vjp(forward, jnp.array([3.0, 1.0]))
        >>> vjp(jax.nn.one_hot(jnp.argmax(outputs), 2))["hidden"]
        Array([12.,  0.], dtype=float32)
    """
    _, shapes = jax.eval_shape(lambda *arguments: forward({}, *arguments), *inputs)
    zeros = {name: zeros_at(leaf) for name, leaf in shapes.items()}
    outputs, vjp, activations = jax.vjp(lambda taps: forward(taps, *inputs), zeros, has_aux=True)
    return outputs, activations, lambda cotangent: vjp(cotangent)[0]


def zeros_at(leaf: jax.ShapeDtypeStruct) -> jax.Array:
    """Returns the zeros at which a gradient is taken.

    Inside ``jax.shard_map`` they differ from device to device, as the activation does: the gradient at zeros that
    count as one value on all devices is summed over the devices.

    Args:
        leaf: The activation's shape and dtype, as ``jax.eval_shape`` gives them.
    """
    zeros = jnp.zeros(leaf.shape, leaf.dtype)
    axes = tuple(getattr(getattr(leaf, "manual_axis_type", None), "varying", ()))
    return jax.lax.pcast(zeros, axes, to="varying") if axes else zeros


def layer_grads(forward: Forward, score: Score, *inputs: Any) -> LayerGrads:
    """Returns the outputs, the activations and the gradients of a score at every tapped layer.

    Written for one example; ``jax.vmap`` gives batches (over the inputs) and several targets of one example
    (over what the score closes over, ``in_axes=(None, 0)``, so that the forward pass runs once).

    Args:
        forward: A tapped model, as :func:`gradcam_jax.tapped` makes it.
        score: Maps the outputs to a scalar, for example ``lambda logits: logits[label]``.
        *inputs: What the forward takes after the taps; an image is ``(H, W, 3)`` float32.

    Returns:
        A :class:`LayerGrads`.

    Raises:
        ValueError: If the score is not a scalar.

    Example:
        >>> import jax.numpy as jnp
        >>> def forward(taps, x):
        ...     hidden = 2.0 * x + taps.get("hidden", jnp.zeros_like(x))
        ...     return hidden**2, {"hidden": hidden}
        >>> layer_grads(forward, lambda outputs: outputs[0], jnp.array([3.0, 1.0])).gradients["hidden"]
        Array([12.,  0.], dtype=float32)

    References:
        Selvaraju et al., Grad-CAM, arXiv:1610.02391, section 3.
    """
    outputs, activations, vjp = layer_vjp(forward, *inputs)
    _, cotangent = score_and_cotangent(score, outputs)
    return LayerGrads(outputs, activations, vjp(cotangent))


def score_and_cotangent(score: Score, outputs: Outputs) -> tuple[jax.Array, Outputs]:
    """Returns a score and its gradient with respect to the outputs, of which integers have none.

    Raises:
        ValueError: If the score is not a scalar.
    """
    shape = jax.eval_shape(score, outputs).shape
    if shape != ():
        raise ValueError(
            f"Expected the score to be a scalar, got shape {shape} instead. "
            "Pick one element of the outputs, and vmap over targets or examples."
        )
    return jax.value_and_grad(score, allow_int=True)(outputs)

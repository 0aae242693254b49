r"""Backward rules for rectifiers: guided backpropagation and the deconvnet.

A rule leaves the forward pass as it is and changes only what flows back. For :math:`y = f(x)` with the
gradient :math:`g` arriving from above,

====================  ==========================================
ordinary              :math:`f'(x) \, g`
deconvnet             :math:`\max(g, 0)`
guided                :math:`f'(x) \, \max(g, 0)`
====================  ==========================================

:meth:`gradcam_jax.Tapped.with_relu_rule` gives a rule to every rectifier of a model, whatever it is; the caller's
model is never touched.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Activation = Callable[..., jax.Array]


def relu6(x: jax.Array) -> jax.Array:
    """Clips to [0, 6], with gradient 0 at both ends (``jax.nn.relu6`` has 0.5 there).

    Example:
        >>> import jax
        >>> jax.vmap(jax.grad(relu6))(jax.numpy.array([-1.0, 0.0, 3.0, 6.0, 9.0]))
        Array([0., 0., 1., 0., 0.], dtype=float32)
    """
    inside = (x > 0) & (x < 6)
    return jnp.where(inside, x, jnp.where(x > 0, jnp.full_like(x, 6), jnp.zeros_like(x)))


def guided(activation: Activation) -> Activation:
    r"""Returns the activation with the guided rule: only positive gradients pass, through active units.

    .. math:: R_{in} = f'(x) \, \max(R_{out}, 0)

    For a ReLU this is :math:`R_{out}` where both :math:`x > 0` and :math:`R_{out} > 0`, else 0. One activation
    always gives the same function, so that compiled programs are found again.

    Args:
        activation: An elementwise function, for example ``jax.nn.relu`` or :func:`relu6`.

    Returns:
        A function with the same values and the guided gradient, which takes the activation's options too.

    Example:
        >>> import jax
        >>> x, g = jax.numpy.array([1.0, 1.0, -1.0]), jax.numpy.array([2.0, -2.0, 2.0])
        >>> jax.vjp(guided(jax.nn.relu), x)[1](g)[0]
        Array([2., 0., 0.], dtype=float32)

    References:
        Springenberg et al., Striving for Simplicity, arXiv:1412.6806, section 3.4.
    """
    return _guided(activation)


@functools.cache
def _guided(activation: Activation) -> Activation:
    def with_rule(function: Activation) -> Activation:
        def backward(
            pull_back: Callable[..., tuple[jax.Array, ...]], gradient: jax.Array
        ) -> tuple[jax.Array, ...]:
            return pull_back(jnp.maximum(gradient, jnp.zeros_like(gradient)))

        ruled = jax.custom_vjp(lambda *arrays: function(*arrays))
        # What is kept for the way back is the activation's own choice: of a ReLU its gates, a byte each.
        ruled.defvjp(lambda *arrays: jax.vjp(function, *arrays), backward)
        return ruled

    return _with_options(activation, with_rule)


def deconvolved(activation: Activation) -> Activation:
    r"""Returns the activation with the deconvnet's rule: only positive gradients pass, whatever the unit did.

    .. math:: R_{in} = \max(R_{out}, 0)

    Args:
        activation: An elementwise function, for example ``jax.nn.relu``.

    Returns:
        A function with the same values and the deconvnet's gradient.

    Example:
        >>> import jax
        >>> x, g = jax.numpy.array([1.0, 1.0, -1.0]), jax.numpy.array([2.0, -2.0, 2.0])
        >>> jax.vjp(deconvolved(jax.nn.relu), x)[1](g)[0]
        Array([2., 0., 2.], dtype=float32)

    References:
        Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, arXiv:1311.2901.
    """
    return _deconvolved(activation)


@functools.cache
def _deconvolved(activation: Activation) -> Activation:
    def with_rule(function: Activation) -> Activation:
        def backward(operands: tuple[jax.Array, ...], gradient: jax.Array) -> tuple[jax.Array, ...]:
            return jnp.maximum(gradient, jnp.zeros_like(gradient)), *map(jnp.zeros_like, operands)

        ruled = jax.custom_vjp(lambda *arrays: function(*arrays))
        ruled.defvjp(lambda x, *operands: (function(x, *operands), operands), backward)
        return ruled

    return _with_options(activation, with_rule)


def _with_options(activation: Activation, with_rule: Callable[[Activation], Activation]) -> Activation:
    """Returns the activation with a rule, which goes on taking the activation's options, such as a slope.

    Arrays among these may be what a gradient is taken of, so they are arguments of the rule's function.
    """
    alone = with_rule(lambda *arrays: activation(*arrays))

    @functools.wraps(activation)
    def ruled(x: jax.Array, *arguments: Any, **options: Any) -> jax.Array:
        if not options and all(isinstance(argument, jax.Array) for argument in arguments):
            return alone(x, *arguments)
        return with_rule(lambda x: activation(x, *arguments, **options))(x)

    return ruled

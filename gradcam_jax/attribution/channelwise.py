"""Maps whose channels are weighed by more than the mean gradient: Grad-CAM++ and XGrad-CAM.

Both take one layer's activations and gradients, ``(..., h, w, k)``, and return float32 maps ``(..., h, w)``, as
:func:`gradcam_jax.grad_cam` does.
"""

import jax
import jax.numpy as jnp

from gradcam_jax.attribution.maps import require_same_shape, weighted_sum

_POSITIONS = (-3, -2)


def grad_cam_plusplus(
    activations: jax.Array, gradients: jax.Array, *, rectify: bool = True, epsilon: float = 0.0
) -> jax.Array:
    r"""Weighs a channel by its positive gradients, each by a coefficient of its own: the Grad-CAM++ map.

    .. math:: w_k^c = \sum_{ij} \alpha_{ij}^{kc} \mathrm{ReLU}(g_{ij}^k), \qquad
              \alpha_{ij}^{kc} = \frac{g^2}{2 g^2 + g^3 \sum_{ab} A_{ab}^k + \epsilon}
              = \frac{1}{2 + g \sum_{ab} A_{ab}^k + \epsilon / g^2}, \qquad
              g = \frac{\partial y^c}{\partial A_{ij}^k}

    The score is taken as it is, so that the higher derivatives of the paper's exponential are powers of the
    gradient. The second form needs no epsilon: behind a ReLU its denominator is at least 2 wherever a gradient
    counts. pytorch-grad-cam adds 1e-6, which outweighs :math:`g^2` where gradients are small; ``epsilon=1e-6``
    gives its numbers. Where activations are negative the denominator can vanish: map a layer behind its ReLU.

    Args:
        activations: The layer's activations, ``(..., h, w, k)``.
        gradients: Gradient of the score at the layer, of the same shape.
        rectify: Whether to keep only what speaks for the target. Behind a ReLU nothing in it speaks against.
        epsilon: Added to the denominator of the first form; 0 is Eq. 19.

    Returns:
        The map, ``(..., h, w)`` float32.

    Raises:
        ValueError: If the shapes differ or have fewer than three axes.

    Example:
        >>> import jax.numpy as jnp
        >>> activations, gradients = jnp.array([[[1.0], [3.0]]]), jnp.array([[[0.5], [-1.0]]])
        >>> grad_cam_plusplus(activations, gradients)  # the weight is 0.5 / (2 + 0.5 * 4)
        Array([[0.125, 0.375]], dtype=float32)

    References:
        Chattopadhay et al., Grad-CAM++, arXiv:1710.11063, Eq. 7 and 19.
    """
    require_same_shape(activations, gradients)
    activations, gradients = activations.astype(jnp.float32), gradients.astype(jnp.float32)
    positive = jax.nn.relu(gradients)  # others have no part in the weights
    total = jnp.sum(activations, axis=_POSITIONS, keepdims=True)
    squared = positive**2
    # The inner `where` keeps divisions by zero out of the gradient.
    below = 2 + total * positive + epsilon / jnp.where(squared > 0, squared, 1)
    counts = (positive > 0) & (below != 0) & ((squared > 0) | (epsilon == 0))
    weights = jnp.sum(jnp.where(counts, positive / jnp.where(counts, below, 1), 0), axis=_POSITIONS)
    return weighted_sum(activations, weights, rectify=rectify)


def x_grad_cam(activations: jax.Array, gradients: jax.Array, *, rectify: bool = True) -> jax.Array:
    r"""Weighs a channel by its gradients, averaged where the channel is active: the XGrad-CAM map.

    .. math:: w_k^c = \sum_{ij} \frac{A_{ij}^k}{\sum_{ab} A_{ab}^k} \frac{\partial y^c}{\partial A_{ij}^k}

    Of the weights of channels it is the one that best keeps the axioms of sensitivity and conservation: the signed
    map adds up to what HiResCAM's does. pytorch-grad-cam adds 1e-7 to the sum; here a channel whose sum is 0 has
    the weight 0. Where activations are negative the sum can come near 0: map a layer behind its ReLU.

    Args:
        activations: The layer's activations, ``(..., h, w, k)``.
        gradients: Gradient of the score at the layer, of the same shape.
        rectify: Whether to keep only what speaks for the target.

    Returns:
        The map, ``(..., h, w)`` float32.

    Raises:
        ValueError: If the shapes differ or have fewer than three axes.

    Example:
        >>> import jax.numpy as jnp
        >>> activations, gradients = jnp.array([[[1.0], [3.0]]]), jnp.array([[[2.0], [-2.0]]])
        >>> x_grad_cam(activations, gradients, rectify=False)  # the weight is (1 * 2 - 3 * 2) / 4
        Array([[-1., -3.]], dtype=float32)

    References:
        Fu et al., Axiom-based Grad-CAM, arXiv:2008.02312.
    """
    require_same_shape(activations, gradients)
    activations, gradients = activations.astype(jnp.float32), gradients.astype(jnp.float32)
    total = jnp.sum(activations, axis=_POSITIONS)
    products = jnp.sum(activations * gradients, axis=_POSITIONS)
    weights = jnp.where(total != 0, products / jnp.where(total != 0, total, 1), 0)
    return weighted_sum(activations, weights, rectify=rectify)

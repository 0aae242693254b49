"""Maps that weigh every position by its own gradient: HiResCAM, LayerCAM and Grad-CAM element-wise.

All take one layer's activations and gradients, ``(..., h, w, k)``, and return float32 maps ``(..., h, w)``, as
:func:`gradcam_jax.grad_cam` does. They differ in where the ReLU stands.
"""

import jax
import jax.numpy as jnp

from gradcam_jax.attribution.maps import gradient_times_input, require_same_shape


def hires_cam(activations: jax.Array, gradients: jax.Array, *, rectify: bool = True) -> jax.Array:
    r"""Adds up gradient times activation over the channels, position by position: the HiResCAM map.

    .. math:: L^c_{ij} = \mathrm{ReLU}\Big(\sum_k \frac{\partial y^c}{\partial A_{ij}^k} A_{ij}^k\Big)

    Where only linear layers follow, the signed map adds up to the score without its bias: no position is shown
    that the model did not use.

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
        >>> activations = jnp.array([[[1.0, 0.0], [1.0, 2.0]]])  # one row, two columns, two channels
        >>> gradients = jnp.array([[[1.0, -1.0], [1.0, -1.0]]])
        >>> hires_cam(activations, gradients, rectify=False)
        Array([[ 1., -1.]], dtype=float32)

    References:
        Draelos and Carin, Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural
        networks, arXiv:2011.08891.
    """
    require_same_shape(activations, gradients)
    return gradient_times_input(activations, gradients, rectify=rectify)


def layer_cam(activations: jax.Array, gradients: jax.Array, *, rectify: bool = True) -> jax.Array:
    r"""Weighs every position by its positive gradients: the LayerCAM map, also of early layers.

    .. math:: L^c_{ij} = \mathrm{ReLU}\Big(\sum_k
              \mathrm{ReLU}\Big(\frac{\partial y^c}{\partial A_{ij}^k}\Big) A_{ij}^k\Big)

    Behind a ReLU, where activations are not negative, nothing speaks against the target in it.

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
        >>> activations = jnp.array([[[1.0, 0.0], [1.0, 2.0]]])
        >>> gradients = jnp.array([[[1.0, -1.0], [1.0, -1.0]]])
        >>> layer_cam(activations, gradients)
        Array([[1., 1.]], dtype=float32)

    References:
        Jiang et al., LayerCAM, IEEE Transactions on Image Processing 30 (2021).
    """
    require_same_shape(activations, gradients)
    return gradient_times_input(activations, jax.nn.relu(gradients), rectify=rectify)


def grad_cam_elementwise(activations: jax.Array, gradients: jax.Array, *, rectify: bool = True) -> jax.Array:
    r"""Adds up what is positive of gradient times activation: Grad-CAM element-wise.

    .. math:: L^c_{ij} = \sum_k \mathrm{ReLU}\Big(\frac{\partial y^c}{\partial A_{ij}^k} A_{ij}^k\Big)

    Behind a ReLU it is LayerCAM.

    Args:
        activations: The layer's activations, ``(..., h, w, k)``.
        gradients: Gradient of the score at the layer, of the same shape.
        rectify: Changes nothing: the map is not negative.

    Returns:
        The map, ``(..., h, w)`` float32.

    Raises:
        ValueError: If the shapes differ or have fewer than three axes.

    Example:
        >>> import jax.numpy as jnp
        >>> grad_cam_elementwise(jnp.array([[[-1.0, 2.0]]]), jnp.array([[[-3.0, -1.0]]]))
        Array([[3.]], dtype=float32)

    References:
        ``GradCAMElementWise`` of pytorch-grad-cam.
    """
    del rectify
    require_same_shape(activations, gradients)
    return jnp.sum(jax.nn.relu(activations.astype(jnp.float32) * gradients.astype(jnp.float32)), axis=-1)

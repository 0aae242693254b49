"""From activations and gradients to a class activation map.

All functions take one layer's activations and gradients, ``(..., h, w, k)``, and return float32 maps
``(..., h, w)``: at the layer's resolution, signed unless rectified, not normalised. Resizing and normalising
are steps of their own (:mod:`gradcam_jax.attribution.resize`).
"""

import jax
import jax.numpy as jnp


def channel_weights(gradients: jax.Array) -> jax.Array:
    r"""Averages the gradients over positions: how much each channel speaks for the target.

    .. math:: \alpha_k^c = \frac{1}{Z} \sum_{i,j} \frac{\partial y^c}{\partial A_{ij}^k}

    with :math:`y^c` the target's score, :math:`A^k` the layer's channel k and Z the number of positions.
    The original program sums instead (no 1/Z); its maps are larger by the factor h*w and look the same.

    Args:
        gradients: Gradient of the score at the layer, ``(..., h, w, k)``.

    Returns:
        The weights, ``(..., k)`` float32.

    References:
        Selvaraju et al., Grad-CAM, arXiv:1610.02391, Eq. 1.
    """
    require_map_shape(gradients)
    return jnp.mean(gradients.astype(jnp.float32), axis=(-3, -2))


def grad_cam(activations: jax.Array, gradients: jax.Array, *, rectify: bool = True) -> jax.Array:
    r"""Weighs the layer's channels by their mean gradient and adds them up: the Grad-CAM map.

    .. math:: L^c_{ij} = \mathrm{ReLU}\Big(\sum_k \alpha_k^c A_{ij}^k\Big)

    Args:
        activations: The layer's activations, ``(..., h, w, k)``.
        gradients: Gradient of the score at the layer, of the same shape.
        rectify: Whether to keep only what speaks for the target (the paper's ReLU). The signed map also
            shows what speaks against it.

    Returns:
        The map, ``(..., h, w)`` float32; non-negative if rectified.

    Raises:
        ValueError: If the shapes differ or have fewer than three axes.

    Example:
        >>> import jax.numpy as jnp
        >>> activations = jnp.array([[[1.0, 0.0], [0.0, 2.0]]])  # one row, two columns, two channels
        >>> gradients = jnp.array([[[1.0, -1.0], [1.0, -1.0]]])
        >>> grad_cam(activations, gradients)
        Array([[1., 0.]], dtype=float32)
        >>> grad_cam(activations, gradients, rectify=False)
        Array([[ 1., -2.]], dtype=float32)

    References:
        Selvaraju et al., Grad-CAM, arXiv:1610.02391, Eq. 2.
    """
    require_same_shape(activations, gradients)
    return weighted_sum(activations, channel_weights(gradients), rectify=rectify)


def weighted_sum(activations: jax.Array, weights: jax.Array, *, rectify: bool = True) -> jax.Array:
    r"""Adds up a layer's channels, each times its weight: the map of every method that weighs channels.

    .. math:: L_{ij} = \mathrm{ReLU}\Big(\sum_k w_k A_{ij}^k\Big)

    Args:
        activations: The layer's activations, ``(..., h, w, k)``.
        weights: Each channel's, ``(..., k)``, with leading axes that broadcast.
        rectify: As for :func:`grad_cam`.

    Returns:
        The map, ``(..., h, w)`` float32.
    """
    signed = jnp.einsum(
        "...hwk,...k->...hw",
        activations.astype(jnp.float32),
        weights.astype(jnp.float32),
        precision=jax.lax.Precision.HIGHEST,
    )
    return jax.nn.relu(signed) if rectify else signed


def counterfactual_grad_cam(activations: jax.Array, gradients: jax.Array, *, rectify: bool = True) -> jax.Array:
    r"""Maps what would have to go for the model to be surer of the target: Grad-CAM of the negated gradient.

    .. math:: \alpha_k^c = \frac{1}{Z} \sum_{i,j} -\frac{\partial y^c}{\partial A_{ij}^k}

    Args:
        activations: The layer's activations, ``(..., h, w, k)``.
        gradients: Gradient of the score at the layer, of the same shape.
        rectify: As for :func:`grad_cam`. The signed map is the signed Grad-CAM map negated.

    Returns:
        The map, ``(..., h, w)`` float32.

    References:
        Selvaraju et al., Grad-CAM, arXiv:1610.02391, section 3.3.
    """
    return grad_cam(activations, -gradients, rectify=rectify)


def gradient_times_input(activations: jax.Array, gradients: jax.Array, *, rectify: bool = False) -> jax.Array:
    r"""Adds up gradient times value over the channels: what each position's vector contributes, to first order.

    .. math:: I_p = \sum_k \frac{\partial y}{\partial A_p^k} A_p^k

    On word vectors it says how much each word of a question speaks for an answer; for an image's layer it is the
    map that Grad-CAM is without its mean over positions (HiResCAM).

    Args:
        activations: The layer's activations, ``(..., k)``.
        gradients: Gradient of the score at the layer, of the same shape.
        rectify: Whether to keep only what speaks for the target.

    Returns:
        ``(...)`` float32.

    References:
        Shrikumar et al., Not Just a Black Box, arXiv:1605.01713.
    """
    product = jnp.sum(activations.astype(jnp.float32) * gradients.astype(jnp.float32), axis=-1)
    return jax.nn.relu(product) if rectify else product


def all_negative(cam: jax.Array) -> jax.Array:
    """Tells whether no position of a map speaks for the target: its rectified map is zero everywhere.

    Such a map is an answer ("nothing here argues for this class"), not a failure; a picture of it is blank.

    Args:
        cam: Signed or rectified map, ``(..., h, w)``.

    Returns:
        Booleans, ``(...)``.

    Example:
        >>> import jax.numpy as jnp
        >>> all_negative(jnp.array([[[-1.0, 0.0]], [[-1.0, 2.0]]]))
        Array([ True, False], dtype=bool)
    """
    return jnp.max(cam, axis=(-2, -1)) <= 0


def require_map_shape(values: jax.Array) -> None:
    """Raises ValueError unless values are a layer's with positions, ``(..., h, w, k)``."""
    if values.ndim < 3:
        raise ValueError(
            f"Expected a layer with spatial extent, (..., h, w, k), got shape {values.shape} instead. "
            "Choose a convolution or pooling layer: a fully connected one has no map."
        )


def require_same_shape(activations: jax.Array, gradients: jax.Array) -> None:
    """Raises ValueError unless activations and gradients are of one layer, ``(..., h, w, k)``."""
    require_map_shape(activations)
    if activations.shape != gradients.shape:
        raise ValueError(
            "Expected activations and gradients of one layer, of one shape, got "
            f"{activations.shape} and {gradients.shape} instead."
        )

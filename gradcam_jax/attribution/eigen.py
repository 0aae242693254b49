r"""Maps by principal components: EigenCAM and EigenGrad-CAM.

Each position of a layer is a vector of k values; with M the positions' values, ``(positions, k)``, centred over
positions, the map is the projection onto the first principal component,

.. math:: L = M v_1, \qquad M = U \Sigma V^T .

A component has no sign of its own. Here it is the one with which the map rises with the sum of the values over the
channels: EigenCAM's is high where the layer is active, EigenGrad-CAM's where HiResCAM speaks for the target.
"""

import jax
import jax.numpy as jnp

from gradcam_jax.attribution.maps import require_same_shape

_PRECISE = jax.lax.Precision.HIGHEST

_SQUARINGS = 16
"""Of the Gram matrix, at most, after which a second eigenvalue of 0.9998 times the first is gone.

No method tells closer ones apart in float32.
"""

_PURE = 0.999
"""Of eigenvalues that sum to 1, the sum of squares from which on one more squaring leaves but one."""


def eigen_cam(activations: jax.Array, gradients: jax.Array, *, rectify: bool = True) -> jax.Array:
    """Projects a layer's activations onto their first principal component: the same map for every target.

    Args:
        activations: The layer's activations, ``(..., h, w, k)``.
        gradients: Gradient of the score at the layer, of the same shape; it has no part in the map.
        rectify: Whether to keep only what is positive.

    Returns:
        The map, ``(..., h, w)`` float32; its mean over positions is 0 unless rectified.

    Raises:
        ValueError: If the shapes differ or have fewer than three axes.

    Example:
        >>> import jax.numpy as jnp
        >>> activations = jnp.array([[[0.0, 0.0], [3.0, 4.0]]])
        >>> eigen_cam(activations, activations, rectify=False)
        Array([[-2.5,  2.5]], dtype=float32)

    References:
        Muhammad and Yeasin, Eigen-CAM, arXiv:2008.00299, which does not centre; pytorch-grad-cam does.
    """
    require_same_shape(activations, gradients)
    return _projection(activations, rectify=rectify)


def eigen_grad_cam(activations: jax.Array, gradients: jax.Array, *, rectify: bool = True) -> jax.Array:
    """Projects gradient times activation onto its first principal component: EigenCAM that knows of the target.

    Args:
        activations: The layer's activations, ``(..., h, w, k)``.
        gradients: Gradient of the score at the layer, of the same shape.
        rectify: Whether to keep only what is positive.

    Returns:
        The map, ``(..., h, w)`` float32; its mean over positions is 0 unless rectified.

    Raises:
        ValueError: If the shapes differ or have fewer than three axes.

    Example:
        >>> import jax.numpy as jnp
        >>> activations, gradients = jnp.array([[[3.0, 0.0], [3.0, 4.0]]]), jnp.array([[[1.0, 1.0], [0.0, 1.0]]])
        >>> eigen_grad_cam(activations, gradients, rectify=False)  # of (3, 0) and (0, 4)
        Array([[-2.5,  2.5]], dtype=float32)

    References:
        ``EigenGradCAM`` of pytorch-grad-cam.
    """
    require_same_shape(activations, gradients)
    return _projection(activations.astype(jnp.float32) * gradients.astype(jnp.float32), rectify=rectify)


def _projection(values: jax.Array, *, rectify: bool) -> jax.Array:
    *leading, height, width, channels = values.shape
    rows = values.astype(jnp.float32).reshape((*leading, height * width, channels))
    centred = rows - jnp.mean(rows, axis=-2, keepdims=True)
    signed = jnp.einsum("...pk,...k->...p", centred, _first_component(centred), precision=_PRECISE)
    along = jnp.sum(signed * jnp.sum(rows, axis=-1), axis=-1, keepdims=True)
    signed = jnp.where(along < 0, -signed, signed).reshape((*leading, height, width))
    return jax.nn.relu(signed) if rectify else signed


def _first_component(centred: jax.Array) -> jax.Array:
    """Returns the first right singular vector of ``(..., positions, k)``, by the smaller of its Gram matrices."""
    positions, channels = centred.shape[-2:]
    if channels <= positions:
        return _leading_vector(jnp.einsum("...pk,...pl->...kl", centred, centred, precision=_PRECISE))
    gram = jnp.einsum("...pk,...qk->...pq", centred, centred, precision=_PRECISE)
    return _with_unit_length(jnp.einsum("...pk,...p->...k", centred, _leading_vector(gram), precision=_PRECISE))


@jax.custom_jvp
def _leading_vector(gram: jax.Array) -> jax.Array:
    """Returns the unit eigenvector of the largest eigenvalue of positive semidefinite matrices ``(..., m, m)``.

    The matrix is squared until it is the product of that vector with itself. Every device is fast at products of
    matrices; two decompositions take a third of the time of VGG-16's passes on a CPU.
    """

    def square(state: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        count, power, _ = state
        squared = jnp.einsum("...ij,...jk->...ik", power, power, precision=_PRECISE)
        purity = jnp.trace(squared, axis1=-2, axis2=-1)
        return count + 1, squared / _or_one(purity)[..., jnp.newaxis, jnp.newaxis], jnp.min(purity)

    def goes_on(state: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        return (state[0] < _SQUARINGS) & (state[2] < _PURE)

    trace = jnp.trace(gram, axis1=-2, axis2=-1)[..., jnp.newaxis, jnp.newaxis]
    start = jnp.zeros((), jnp.int32), gram / _or_one(trace), jnp.zeros((), gram.dtype)
    _, power, _ = jax.lax.while_loop(goes_on, square, start)
    largest = jnp.argmax(jnp.diagonal(power, axis1=-2, axis2=-1), axis=-1)
    return _with_unit_length(jnp.take_along_axis(power, largest[..., jnp.newaxis, jnp.newaxis], axis=-1)[..., 0])


@_leading_vector.defjvp
def _leading_vector_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    r"""Differentiates one eigenvector, :math:`dv_1 = \sum_{j>1} v_j (v_j^T dG v_1) / (\lambda_1 - \lambda_j)`.

    JAX's own rule divides by the differences of all eigenvalues, of which many are 0 where the rank is low.
    """
    (gram,), (change,) = primals, tangents
    values, vectors = jnp.linalg.eigh(gram)
    leading = vectors[..., -1]
    gaps = values[..., -1:] - values
    moved = jnp.einsum("...mj,...mn,...n->...j", vectors, change, leading, precision=_PRECISE)
    by_gap = jnp.where(gaps > 0, moved / jnp.where(gaps > 0, gaps, jnp.ones_like(gaps)), jnp.zeros_like(moved))
    return leading, jnp.einsum("...mj,...j->...m", vectors, by_gap, precision=_PRECISE)


def _with_unit_length(vector: jax.Array) -> jax.Array:
    return vector * jax.lax.rsqrt(_or_one(jnp.sum(vector**2, axis=-1, keepdims=True)))


def _or_one(size: jax.Array) -> jax.Array:
    """Returns what values are divided by: 1 where they have no size."""
    return jnp.where(size > 0, size, jnp.ones_like(size))

"""Explanations at the resolution of the pixels: input gradients, alone, smoothed, integrated, and times a map."""

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.attribution.gradients import Forward, Score


def input_grad(forward: Forward, score: Score, image: jax.Array, *inputs: object) -> jax.Array:
    """Returns the gradient of a score with respect to the image.

    With an ordinary forward this is the saliency gradient (Simonyan et al.); with a forward whose ReLUs
    carry the guided rule (:func:`gradcam_jax.guided`) it is guided backpropagation, and with
    :func:`gradcam_jax.deconvolved` the deconvnet's.

    Args:
        forward: A tapped model; its taps are left out.
        score: Maps the outputs to a scalar.
        image: What the model takes, ``(H, W, 3)``, already preprocessed.
        *inputs: Further inputs of the forward, not differentiated.

    Returns:
        The gradient, ``(H, W, 3)``, in the channel order of the image given.

    References:
        Simonyan et al., arXiv:1312.6034; Springenberg et al., arXiv:1412.6806.
    """

    def score_of_image(pixels: jax.Array) -> jax.Array:
        outputs, _ = forward({}, pixels, *inputs)
        return score(outputs)

    return jax.grad(score_of_image)(image)


def smooth_grad(
    forward: Forward,
    score: Score,
    image: jax.Array,
    *inputs: object,
    key: jax.Array,
    samples: int = 25,
    noise: float = 0.15,
    chunk_size: int = 8,
) -> jax.Array:
    r"""Averages the gradient with respect to the image over noisy copies of it.

    .. math:: \frac{1}{n} \sum_{i=1}^n \nabla_x y(x + \epsilon_i), \qquad
              \epsilon_i \sim \mathcal{N}(0, \sigma^2), \quad \sigma = s\,(\max x - \min x)

    Args:
        forward: As for :func:`input_grad`.
        score: As for :func:`input_grad`.
        image: As for :func:`input_grad`.
        *inputs: As for :func:`input_grad`.
        key: PRNG key.
        samples: Noisy copies n.
        noise: Their standard deviation s, as a share of the image's range.
        chunk_size: Copies at once, at most.

    Returns:
        The mean gradient, of the image's shape, signed.

    References:
        Smilkov et al., SmoothGrad, arXiv:1706.03825.
    """

    def gradient(key: jax.Array) -> jax.Array:
        return input_grad(forward, score, noisy(image, key, noise), *inputs)

    return jnp.mean(jax.lax.map(gradient, jax.random.split(key, samples), batch_size=chunk_size), axis=0)


def noisy(image: jax.Array, key: jax.Array, noise: float) -> jax.Array:
    """Adds normal noise to an image, whose standard deviation is a share of the image's range."""
    deviation = noise * (jnp.max(image) - jnp.min(image))
    return image + deviation * jax.random.normal(key, image.shape, image.dtype)


def integrated_gradients(
    forward: Forward,
    score: Score,
    image: jax.Array,
    *inputs: object,
    baseline: jax.Array | None = None,
    steps: int = 50,
    chunk_size: int = 8,
) -> jax.Array:
    r"""Integrates the gradient on the straight way from a baseline to the image.

    .. math:: (x - x') \circ \int_0^1 \nabla y\big(x' + a (x - x')\big)\, da

    The result adds up to :math:`y(x) - y(x')`. The integral is taken by Gauss and Legendre's rule.

    Args:
        forward: As for :func:`input_grad`.
        score: As for :func:`input_grad`.
        image: As for :func:`input_grad`.
        *inputs: As for :func:`input_grad`.
        baseline: An image without evidence, of the image's shape; zeros unless given.
        steps: Points of the rule.
        chunk_size: Points at once, at most.

    Returns:
        Of the image's shape, signed.

    Example:
        >>> import gradcam_jax as gc, jax.numpy as jnp
        >>> forward = gc.tapped_functions({"square": lambda x: x**2}, ())
        >>> integrated_gradients(forward, jnp.sum, jnp.array([1.0, 3.0])).round(3)
        Array([1., 9.], dtype=float32)

    References:
        Sundararajan et al., Axiomatic Attribution for Deep Networks, arXiv:1703.01365, Eq. 1.
    """
    start = jnp.zeros_like(image) if baseline is None else baseline
    places, weights = np.polynomial.legendre.leggauss(steps)

    def gradient(place: jax.Array) -> jax.Array:
        return input_grad(forward, score, start + place * (image - start), *inputs)

    on_the_way = jnp.asarray((1 + places) / 2, image.dtype)
    gradients = jax.lax.map(gradient, on_the_way, batch_size=chunk_size)
    mean = jnp.tensordot(jnp.asarray(weights / 2, image.dtype), gradients, 1, precision=jax.lax.Precision.HIGHEST)
    return (image - start) * mean


def guided_grad_cam(heatmap: jax.Array, pixel_gradient: jax.Array) -> jax.Array:
    """Multiplies a class map with guided backpropagation: fine detail, of the target alone.

    Args:
        heatmap: Rectified Grad-CAM map at the image's resolution, ``(..., H, W)``.
        pixel_gradient: Guided backpropagation, ``(..., H, W, 3)``.

    Returns:
        Their product, ``(..., H, W, 3)``, signed.

    Raises:
        ValueError: If the map is not at the image's resolution.

    Example:
        >>> import jax.numpy as jnp
        >>> guided_grad_cam(jnp.array([[0.0, 2.0]]), jnp.ones((1, 2, 3)))[..., 0]
        Array([[0., 2.]], dtype=float32)

    References:
        Selvaraju et al., Grad-CAM, arXiv:1610.02391, section 3.2.
    """
    if heatmap.shape != pixel_gradient.shape[:-1]:
        raise ValueError(
            f"Expected a map at the image's resolution, {pixel_gradient.shape[:-1]}, got {heatmap.shape} "
            "instead. Resize it first: resize_corner_aligned(cam, (H, W)) or resize_half_pixel(cam, (H, W))."
        )
    return heatmap[..., jnp.newaxis] * pixel_gradient

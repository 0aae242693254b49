"""Explanations at the resolution of the pixels: input gradients, and Guided Grad-CAM made from them."""

import jax
import jax.numpy as jnp

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

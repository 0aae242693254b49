r"""Grad-CAM of many classes, or of all, at the price of a few: the first fully connected layer summed beforehand.

Let everything between the mapped layer A and the first fully connected layer z commute with adding a constant to
a channel, as pooling (maximum or mean) and flattening do. Then raising channel k by one everywhere raises z by the
sum of its weights over the channel's positions p, whatever the image, and the mean gradient of a score y is

.. math:: \alpha_k^c = \frac{1}{Z} \sum_{ij} \frac{\partial y^c}{\partial A_{ij}^k}
          = \frac{1}{Z} \sum_m \Big(\sum_p W_{(p,k)m}\Big) \frac{\partial y^c}{\partial z_m} .

The sum over p is taken once a batch, and no gradient passes the large layer and the pooling again for each class.
With a global mean pooling it is CAM. It gives channel weights, so Grad-CAM alone: methods that use the gradient of
each position (HiResCAM, LayerCAM, Grad-CAM++) go the ordinary way.

References:
    Selvaraju et al., Grad-CAM, arXiv:1610.02391, Eq. 1; Zhou et al., CAM, arXiv:1512.04150.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.attribution.layouts import channels_last
from gradcam_jax.attribution.maps import grad_cam
from gradcam_jax.engine.batches import over_examples
from gradcam_jax.engine.spec import Spec, all_classes, class_score, from_outputs
from gradcam_jax.errors import InputError
from gradcam_jax.interception.tapped import Tapped, layer_shapes

_PRECISE = jax.lax.Precision.HIGHEST


def with_summed_head(forward: Tapped, image: Any) -> Tapped:
    """Finds the fully connected layer that follows the mapped one, and tries whether its weights can be summed.

    Runs a small program; call it once, outside ``jax.jit``. :func:`gradcam_jax.explain` then computes Grad-CAM of
    many classes, or of all (:func:`gradcam_jax.all_classes`), at the price of a few.

    Args:
        forward: A Linen classifier tapped at the layer directly before the pooling or the flattening, such as
            ``"relu5_3"``.
        image: An image, or the shape of one.

    Returns:
        The forward that knows it.

    Raises:
        InputError: If the layers between do not pass a channel's constant on unchanged.
    """
    (layer,) = forward.layers
    shapes = layer_shapes(forward, image)
    shape = jax.eval_shape(lambda image: forward({}, image)[1][layer], image)
    if len(shape.shape) != 3:
        raise InputError(f"Layer {layer!r} has no spatial extent (its shape is {shape.shape}): no map.")
    names = list(shapes)
    after = names[names.index(layer) + 1 :] if layer in names else []
    dense = next((name for name in after if len(shapes[name].shape) == 1 and _has_kernel(forward, name)), None)
    if dense is None:
        raise InputError(f"Expected a fully connected layer after {layer!r}; there is none.")
    if not _passes_constants(forward, layer, dense, shape, image):
        raise InputError(
            f"Between {layer!r} and {dense!r} lies more than pooling and flattening, so their weights cannot be "
            "summed over positions. Map the layer directly before the pooling, or explain without a summed head."
        )
    return dataclasses.replace(forward, dense=dense)


def can_be_summed(forward: Tapped, layer: str, spec: Spec) -> bool:
    """Tells whether the maps asked for are Grad-CAM of classes on a model whose head is summed."""
    methods = {(at, method) for _, at, method in spec.maps}
    usual = spec.score is class_score and spec.layout is channels_last
    return bool(forward.dense) and usual and methods == {(layer, grad_cam)}


def explain_classes(
    forward: Tapped, layer: str, spec: Spec, activations: jax.Array, images: jax.Array, targets: Any
) -> tuple[jax.Array, jax.Array, Any, dict[str, jax.Array]]:
    """Maps classes of each image of a batch by Grad-CAM through the summed head.

    All classes are worked forward: how all logits move when one channel is raised, channel by channel. That is as
    many passes through the fully connected layers as there are channels, not classes.

    Args:
        forward: From :func:`with_summed_head`.
        layer: The mapped layer.
        spec: What is computed.
        activations: The layer's, ``(n, h, w, k)``.
        images: What the model takes, ``(n, H, W, 3)``.
        targets: As for the engine.

    Returns:
        Outputs, scores, targets and maps.
    """
    to_dense, from_dense = forward.at(forward.dense).resumed(layer), forward.at(()).resumed(forward.dense)
    summed = _summed_kernel(forward, forward.dense, activations.shape[-1])
    # The largest layer is batched; what follows has a row for every class already.
    values = jax.vmap(lambda *example: to_dense({}, *example)[1][forward.dense])(activations, images)

    def explain_example(activation: jax.Array, image: jax.Array, value: jax.Array, targets: Any) -> Any:
        def logits_of(value: jax.Array) -> jax.Array:
            return from_dense({}, value, image)[0]

        logits = logits_of(value)
        classes = spec.choose(logits, targets)
        scores = jax.vmap(lambda label: class_score(logits, label))(classes)
        if spec.choose is from_outputs(all_classes):
            _, push_forward = jax.linearize(logits_of, value)
            alpha = jax.vmap(push_forward)(summed).T
        else:
            gradients = jax.vmap(lambda label: jax.grad(lambda z: class_score(logits_of(z), label))(value))(
                classes
            )
            alpha = gradients @ summed.T
        alpha = alpha / (activation.shape[0] * activation.shape[1])
        return logits, scores, classes, jnp.einsum("hwk,ck->chw", activation, alpha, precision=_PRECISE)

    logits, scores, classes, cam = over_examples(explain_example, activations, images, values, targets)
    return logits, scores, classes, {name: cam for name, _, _ in spec.maps}


def _summed_kernel(forward: Tapped, dense: str, channels: int) -> jax.Array:
    """Sums ``(positions * channels, outputs)`` over the positions to ``(channels, outputs)``."""
    kernel = _kernel(forward, dense)
    by_position = kernel.reshape((-1, channels, kernel.shape[-1]))
    ones = jnp.ones(by_position.shape[:1], kernel.dtype)
    # As a product: on CPUs XLA's own sum over the first axis is 50 times slower.
    return jnp.einsum("p,pkm->km", ones, by_position, precision=_PRECISE)


def _passes_constants(forward: Tapped, layer: str, dense: str, shape: jax.ShapeDtypeStruct, image: Any) -> bool:
    """Tries it: random activations, and the same with another constant added to each channel."""
    if _kernel(forward, dense).shape[0] % shape.shape[-1]:
        return False
    generator = np.random.default_rng(0)
    activation = jnp.asarray(generator.standard_normal(shape.shape), shape.dtype)
    constants = jnp.asarray(generator.standard_normal(shape.shape[-1]), shape.dtype)

    @jax.jit
    @jax.default_matmul_precision("highest")  # what is tested is algebra, not the device's rounding
    def difference(forward: Tapped, activation: jax.Array, constants: jax.Array, image: jax.Array) -> Any:
        head = forward.at(dense).resumed(layer)
        raised = activation + constants.reshape((1, 1, -1))
        before, after = (head({}, values, image)[1][dense] for values in (activation, raised))
        expected = jnp.dot(constants, _summed_kernel(forward, dense, constants.size), precision=_PRECISE)
        return jnp.max(jnp.abs(after - before - expected)), jnp.max(jnp.abs(expected))

    error, largest = difference(forward, activation, constants, jnp.zeros(image.shape, image.dtype))
    return bool(error <= 1e-3 * largest)


def _has_kernel(forward: Tapped, name: str) -> bool:
    try:
        return _kernel(forward, name).ndim == 2
    except (KeyError, TypeError):
        return False


def _kernel(forward: Tapped, name: str) -> jax.Array:
    node: Any = forward.variables["variables"]["params"]
    for part in (*name.split("/"), "kernel"):
        node = node[part]
    return node

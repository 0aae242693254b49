r"""Grad-CAM of many classes, or of all, at the price of a few: the first fully connected layer summed beforehand.

Let everything between the mapped layer A and the first fully connected layer z commute with adding a constant to
a channel, as pooling (maximum or mean) and flattening do. Then raising channel k by one everywhere raises z by the
sum of its weights over the channel's positions p, whatever the image, and the mean gradient of a score y is

.. math:: \alpha_k^c = \frac{1}{Z} \sum_{ij} \frac{\partial y^c}{\partial A_{ij}^k}
          = \frac{1}{Z} \sum_m \Big(\sum_p W_{(p,k)m}\Big) \frac{\partial y^c}{\partial z_m} .

The sum over p is taken once a batch, and no gradient passes the large layer and the pooling again for each class.
With a global mean pooling it is CAM. It gives channel weights, so Grad-CAM alone: methods that use the gradient of
each position (HiResCAM, LayerCAM, Grad-CAM++) need ``map_targets``.

References:
    Selvaraju et al., Grad-CAM, arXiv:1610.02391, Eq. 1; Zhou et al., CAM, arXiv:1512.04150.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.engine.image_batches import TargetMaps, map_images
from gradcam_jax.errors import InputError
from gradcam_jax.interception.linen import layer_shapes, resumed, tapped
from gradcam_jax.tasks.classification import class_score


class SummedHead(NamedTuple):
    """Two layers between which a channel's constant passes unchanged.

    Attributes:
        layer: The mapped layer, ``(h, w, k)``.
        dense: The first fully connected layer after it, a path in the parameters.
    """

    layer: str
    dense: str


def summed_head(model: nn.Module, variables: Mapping[str, Any], layer: str, image: Any) -> SummedHead:
    """Finds the fully connected layer that follows a layer, and tries whether its kernel can be summed.

    Runs a small program; call it once, outside ``jax.jit``.

    Args:
        model: A Linen classifier.
        variables: Its variables.
        layer: The layer to map, directly before the pooling or the flattening: ``"relu5_3"``.
        image: An image, or the shape of one.

    Returns:
        What :func:`map_classes` and :func:`map_all_classes` take.

    Raises:
        InputError: If the layers between do not pass a channel's constant on unchanged.
    """
    shapes = layer_shapes(model, variables, image)
    tapped_shape = jax.eval_shape(lambda image: tapped(model, variables, layer)({}, image)[1][layer], image)
    if len(tapped_shape.shape) != 3:
        raise InputError(f"Layer {layer!r} has no spatial extent (its shape is {tapped_shape.shape}): no map.")
    names = list(shapes)
    after = names[names.index(layer) + 1 :] if layer in names else []
    dense = next((name for name in after if len(shapes[name].shape) == 1 and _has_kernel(variables, name)), None)
    if dense is None:
        raise InputError(f"Expected a fully connected layer after {layer!r}; there is none. Use map_targets.")
    if not _passes_constants(model, variables, SummedHead(layer, dense), tapped_shape, image):
        raise InputError(
            f"Between {layer!r} and {dense!r} lies more than pooling and flattening, so their weights cannot be "
            "summed over positions. Map the layer directly before the pooling, or use map_targets."
        )
    return SummedHead(layer, dense)


def map_classes(
    model: nn.Module, variables: Mapping[str, Any], head: SummedHead, images: jax.Array, class_indices: jax.Array
) -> TargetMaps:
    """Maps some classes of each image of a batch by Grad-CAM.

    Args:
        model: A Linen classifier.
        variables: Its variables.
        head: From :func:`summed_head`.
        images: What the network takes, ``(n, H, W, 3)``.
        class_indices: 0-based classes, ``(n, targets)`` int.

    Returns:
        :class:`gradcam_jax.engine.image_batches.TargetMaps`, equal to ``map_targets`` but for rounding.
    """

    def weights(logits_of: Callable[[jax.Array], jax.Array], z: jax.Array, summed: jax.Array, labels: Any) -> Any:
        def gradient(label: jax.Array) -> jax.Array:
            return jax.grad(lambda z: class_score(logits_of(z), label))(z)

        return jax.vmap(gradient)(labels) @ summed.T

    return _map(model, variables, head, weights, images, class_indices)


def map_all_classes(
    model: nn.Module, variables: Mapping[str, Any], head: SummedHead, images: jax.Array
) -> TargetMaps:
    """Maps every class of each image of a batch by Grad-CAM.

    Works forward: how all logits move when one channel is raised, channel by channel. That is as many passes
    through the fully connected layers as there are channels, not classes, and one image at a time on CPUs.

    Args:
        model: A Linen classifier.
        variables: Its variables.
        head: From :func:`summed_head`.
        images: What the network takes, ``(n, H, W, 3)``.

    Returns:
        :class:`gradcam_jax.engine.image_batches.TargetMaps`; the targets are all classes in order.
    """

    def weights(logits_of: Callable[[jax.Array], jax.Array], z: jax.Array, summed: jax.Array, labels: Any) -> Any:
        _, push_forward = jax.linearize(logits_of, z)
        return jax.vmap(push_forward)(summed).T[labels]

    classes = jax.eval_shape(lambda image: model.apply(variables, image), images[0]).shape[-1]
    labels = jnp.broadcast_to(jnp.arange(classes), (images.shape[0], classes))
    return _map(model, variables, head, weights, images, labels)


def _map(
    model: nn.Module,
    variables: Mapping[str, Any],
    head: SummedHead,
    weights: Callable[..., jax.Array],
    images: jax.Array,
    labels: jax.Array,
) -> TargetMaps:
    trunk = tapped(model, variables, head.layer)
    to_dense, from_dense = (
        resumed(model, variables, head.layer, head.dense),
        resumed(model, variables, head.dense, ()),
    )
    activations = map_images(lambda image: trunk({}, image)[1][head.layer], images)
    summed = _sum_over_positions(_kernel(variables, head.dense), activations.shape[-1])
    # The largest layer takes the batch whole; what follows has a row for every class already.
    z = jax.vmap(lambda activation, image: to_dense({}, activation, image)[1][head.dense])(activations, images)

    def map_one(activation: jax.Array, image: jax.Array, z: jax.Array, labels: jax.Array) -> TargetMaps:
        def logits_of(z: jax.Array) -> jax.Array:
            return from_dense({}, z, image)[0]

        logits = logits_of(z)
        alpha = weights(logits_of, z, summed, labels) / (activation.shape[0] * activation.shape[1])
        precise = jax.lax.Precision.HIGHEST
        return TargetMaps(logits, logits[labels], jnp.einsum("hwk,ck->chw", activation, alpha, precision=precise))

    return map_images(map_one, activations, images, z, labels)


def _sum_over_positions(kernel: jax.Array, channels: int) -> jax.Array:
    """Sums ``(positions * channels, outputs)`` to ``(channels, outputs)``."""
    by_position = kernel.reshape((-1, channels, kernel.shape[-1]))
    ones = jnp.ones(by_position.shape[:1], kernel.dtype)
    # As a product: on CPUs XLA's own sum over the first axis is 50 times slower.
    return jnp.einsum("p,pkm->km", ones, by_position, precision=jax.lax.Precision.HIGHEST)


def _passes_constants(
    model: nn.Module, variables: Mapping[str, Any], head: SummedHead, shape: jax.ShapeDtypeStruct, image: Any
) -> bool:
    """Tries it: random activations, and the same with another constant added to each channel."""
    generator = np.random.default_rng(0)
    activation = jnp.asarray(generator.standard_normal(shape.shape), shape.dtype)
    constants = jnp.asarray(generator.standard_normal(shape.shape[-1]), shape.dtype)
    path = tuple(head.dense.split("/"))

    def before_dense(variables: Any, activation: jax.Array, image: jax.Array) -> jax.Array:
        seen = []

        def look(call: Any, arguments: Any, options: Any, context: nn.module.InterceptorContext) -> Any:
            if context.module.path == path and context.method_name == "__call__":
                seen.append(arguments[0])
            return call(*arguments, **options)

        with nn.intercept_methods(look):
            resumed(model, variables, head.layer, ())({}, activation, image)
        return seen[0]

    run = jax.jit(before_dense)
    blank = jnp.zeros(image.shape, image.dtype)
    raised = activation + jnp.broadcast_to(constants, activation.shape)
    before, after = run(variables, activation, blank), run(variables, raised, blank)
    if before.ndim != 1 or before.size % constants.size:
        return False
    return bool(jnp.allclose(after - before, jnp.tile(constants, before.size // constants.size), atol=1e-4))


def _has_kernel(variables: Mapping[str, Any], name: str) -> bool:
    try:
        return _kernel(variables, name).ndim == 2
    except KeyError:
        return False


def _kernel(variables: Mapping[str, Any], name: str) -> jax.Array:
    node: Any = variables["params"]
    for part in (*name.split("/"), "kernel"):
        node = node[part]
    return node

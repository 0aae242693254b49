"""The one function that computes a batch's maps, and the one that computes its guided gradients.

The model is cut at the mapped layer. The trunk, everything up to the layer, runs as the platform likes it; the
head, everything after it, is batched everywhere: its fully connected layers are read from memory once a batch. One
forward pass serves all targets, all maps and, since guided rectifiers change only the backward pass, the guided
gradients too.

References:
    Selvaraju et al., Grad-CAM, arXiv:1610.02391, section 3.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradcam_jax.attribution.gradients import Forward, score_and_cotangent, zeros_at
from gradcam_jax.attribution.layouts import Layout, map_of
from gradcam_jax.attribution.token_perturbation import replacement_drops
from gradcam_jax.engine.batches import batched, over_examples
from gradcam_jax.engine.dependence import Traced
from gradcam_jax.engine.many_classes import can_be_summed, explain_classes
from gradcam_jax.engine.precision import precision_of
from gradcam_jax.engine.spec import MapMethod, Replacement, Spec
from gradcam_jax.errors import LayerError
from gradcam_jax.interception.tapped import Tapped, layer_shapes


class Parts(NamedTuple):
    """What is computed of a batch, each with a leading axis n.

    Attributes:
        outputs: The model's outputs.
        scores: The targets' scores, ``(n, targets)``.
        targets: The targets, leading axes ``(n, targets)``.
        maps: Name -> signed map of each target, ``(n, targets, h, w)`` float32, and what its tokens are worth.
        guided_backprop: ``(n, guided targets, H, W, 3)`` in the model's order of channels, or None.
    """

    outputs: Any
    scores: jax.Array
    targets: Any
    maps: dict[str, jax.Array]
    guided_backprop: jax.Array | None


def explain_batch(
    forward: Tapped,
    guided_forward: Tapped | None,
    images: jax.Array,
    targets: Any,
    inputs: tuple[Any, ...],
    spec: Spec,
) -> Parts:
    """Explains several targets of each image of a batch, from one forward pass an image.

    Args:
        forward: The model tapped at the mapped layers.
        guided_forward: The same with guided rectifiers, if guided backpropagation is computed.
        images: What the model takes, ``(n, H, W, 3)``.
        targets: Tree with leading axes ``(n, targets)``, or an empty one where the spec chooses them.
        inputs: Further inputs of the model with a leading axis n, such as questions' tokens.
        spec: What is computed.

    Returns:
        The parts.
    """
    if not spec.guided:
        activations = activations_of(forward, images, inputs)
        return explain_activations(forward, activations, images, targets, inputs, spec)
    with precision_of(forward):
        images = _in_precision(forward, images)
        layer = _first_layer(forward, images, inputs)
        trunk = (guided_forward or forward).at(layer)
        activations, trunk_vjp = jax.vjp(functools.partial(run_trunk, trunk, layer, inputs), images)
        outputs, scores, targets, maps = _maps(forward, layer, spec, activations, images, targets, inputs)
        assert guided_forward is not None
        pixels = _guided_gradients(guided_forward, layer, spec, activations, trunk_vjp, images, targets, inputs)
        return Parts(outputs, scores, targets, maps, pixels.astype(scores.dtype))


def activations_of(forward: Tapped, images: jax.Array, inputs: tuple[Any, ...]) -> jax.Array:
    """Runs the trunk of each image: the first half of :func:`explain_batch`.

    Args:
        forward: The model tapped at the mapped layers.
        images: What the model takes, ``(n, H, W, 3)``.
        inputs: Its further inputs, with a leading axis n.

    Returns:
        What the first mapped layer gives, leading axis n.
    """
    with precision_of(forward):
        images = _in_precision(forward, images)
        layer = _first_layer(forward, images, inputs)
        return run_trunk(forward.at(layer), layer, inputs, images)


def explain_activations(
    forward: Tapped, activations: jax.Array, images: jax.Array, targets: Any, inputs: tuple[Any, ...], spec: Spec
) -> Parts:
    """Maps targets from a trunk that has been run: the second half of :func:`explain_batch`.

    Args:
        forward: The model tapped at the mapped layers.
        activations: From :func:`activations_of`, of the same model and images.
        images: The images, read only by what passes the layer by.
        targets: As for :func:`explain_batch`.
        inputs: The model's further inputs. They may be others than those that the trunk was run with, where the
            first mapped layer does not depend on them.
        spec: What is computed, without guided gradients.

    Returns:
        The parts; ``guided_backprop`` is None.
    """
    with precision_of(forward):
        images = _in_precision(forward, images)
        layer = _first_layer(forward, images, inputs)
        if not spec.replaced and can_be_summed(forward, layer, spec):
            return Parts(*explain_classes(forward, layer, spec, activations, images, targets), None)
        return Parts(*_maps(forward, layer, spec, activations, images, targets, inputs), None)


def _in_precision(forward: Tapped, images: jax.Array) -> jax.Array:
    return images.astype(jnp.bfloat16) if forward.precision == "bfloat16" else images


def _maps(
    forward: Tapped,
    layer: str,
    spec: Spec,
    activations: jax.Array,
    images: jax.Array,
    targets: Any,
    inputs: tuple[Any, ...],
) -> tuple[Any, jax.Array, Any, dict[str, jax.Array]]:
    """Returns outputs, scores, targets and maps of a batch whose trunk has been run."""
    tapped_layers = [*(name for _, name, _ in spec.maps), *(one.layer for one in spec.replaced)]
    others = tuple(dict.fromkeys(name for name in tapped_layers if name != layer))
    head = forward.at((layer, *others)).resumed(layer)
    require_dependence(head, spec, (layer, *others), of_one((activations, images, targets, *inputs)))

    def explain_example(activation: jax.Array, image: jax.Array, targets: Any, *inputs: Any) -> Any:
        def run(activation: jax.Array, taps: Any) -> Any:
            return head(taps, activation, image, *inputs)

        taps = {}
        if others:
            _, shapes = jax.eval_shape(run, activation, taps)
            taps = {name: zeros_at(shapes[name]) for name in others}
        outputs, head_vjp, tapped = jax.vjp(run, activation, taps, has_aux=True)
        chosen = spec.choose(outputs, targets)

        def explain_target(target: Any) -> Any:
            score, cotangent = score_and_cotangent(lambda outputs: spec.score(outputs, target), outputs)
            at_layer, at_others = head_vjp(cotangent)
            gradients = {**at_others, layer: at_layer}
            return score, {
                name: _map_at(at, method, spec.layout, tapped[at], gradients[at]) for name, at, method in spec.maps
            }

        def drops_of(one: Replacement) -> jax.Array:
            vectors = tapped[one.layer]

            def scores_of(others: jax.Array) -> jax.Array:
                outputs, _ = head({one.layer: others - vectors}, activation, image, *inputs)
                return jax.vmap(lambda target: spec.score(outputs, target))(chosen)

            vector = jnp.asarray(one.vector, vectors.dtype)
            return replacement_drops(scores_of, vectors, vector, one.count(*inputs)).astype(jnp.float32)

        scores, maps = jax.vmap(explain_target)(chosen)
        return outputs, scores, chosen, maps | {one.name: drops_of(one) for one in spec.replaced}

    return batched(explain_example, activations, images, targets, *inputs)


def require_dependence(head: Forward, spec: Spec, layers: tuple[str, ...], example: tuple[Any, ...]) -> None:
    """Raises LayerError if the targets' scores cannot depend on a mapped layer: its map would be zero."""
    first, *others = layers
    activation, image, targets, *inputs = example
    taps = []
    if others:
        _, shapes = jax.eval_shape(lambda *arguments: head({}, *arguments), activation, image, *inputs)
        taps = [shapes[name] for name in others]

    def scores_of(
        activation: jax.Array, image: jax.Array, targets: Any, inputs: Any, *taps: jax.Array
    ) -> jax.Array:
        outputs, _ = head(dict(zip(others, taps, strict=True)), activation, image, *inputs)
        return jax.vmap(lambda target: spec.score(outputs, target))(spec.choose(outputs, targets))

    traced = Traced(scores_of, activation, image, targets, inputs, *taps)
    depends = {first: traced.depends_on(0)} | {name: traced.depends_on(4 + i) for i, name in enumerate(others)}
    for name, does in depends.items():
        if not does:
            raise LayerError(
                f"The score does not depend on layer {name!r}, so there is nothing to map there. Map a layer "
                "before what the score takes from the outputs: suggest_layer(forward, image)."
            )


def _map_at(
    layer: str, method: MapMethod, layout: Layout, activation: jax.Array, gradient: jax.Array
) -> jax.Array:
    try:
        return map_of(method, layout, activation, gradient)
    except ValueError as error:
        raise LayerError(f"Layer {layer!r} cannot be mapped. {error}") from error


def _guided_gradients(
    forward: Tapped,
    layer: str,
    spec: Spec,
    activations: jax.Array,
    trunk_vjp: Callable[[jax.Array], tuple[jax.Array]],
    images: jax.Array,
    targets: Any,
    inputs: tuple[Any, ...],
) -> jax.Array:
    """Returns guided backpropagation, ``(n, targets, H, W, 3)``, in the model's order of channels."""
    head, whole = forward.at(()).resumed(layer), forward.at(())
    targets = jax.tree.map(lambda leaf: leaf[:, slice(*spec.guided_targets)], targets)

    def scores_of(outputs: Any, targets: Any) -> jax.Array:
        return jax.vmap(lambda target: spec.score(outputs, target))(targets)

    def scores_of_head(activation: jax.Array, image: jax.Array, targets: Any, *inputs: Any) -> jax.Array:
        return scores_of(head({}, activation, image, *inputs)[0], targets)

    def scores_of_whole(image: jax.Array, targets: Any, *inputs: Any) -> jax.Array:
        return scores_of(whole({}, image, *inputs)[0], targets)

    traced = Traced(scores_of_head, *of_one((activations, images, targets, *inputs)))
    if traced.depends_on(1):
        # What passes the layer by meets what went through it again below, and guided rectifiers gate their sum.
        return over_examples(jax.jacrev(scores_of_whole), images, targets, *inputs)
    gradients = jnp.moveaxis(batched(jax.jacrev(traced), activations, images, targets, *inputs), 1, 0)
    # One photo's targets pass the trunk together; a batch's one after the other, since memory holds one pass.
    over_targets = batched if images.shape[0] == 1 else jax.lax.map
    return jnp.moveaxis(over_targets(lambda gradient: trunk_vjp(gradient)[0], gradients), 0, 1)


def run_trunk(trunk: Tapped, layer: str, inputs: tuple[Any, ...], images: jax.Array) -> jax.Array:
    """Runs a batch up to the mapped layer as the platform likes it; returns what the layer holds, ``(n, ...)``."""

    def run(*example: Any) -> jax.Array:
        activation = trunk({}, *example)[1][layer]
        # Head, gradients and maps are float32, whatever the trunk is.
        return activation.astype(jnp.float32) if activation.dtype == jnp.bfloat16 else activation

    return over_examples(run, images, *inputs)


def _first_layer(forward: Tapped, images: jax.Array, inputs: tuple[Any, ...]) -> str:
    """Returns the mapped layer that is called first: the model is cut there, and the others lie behind."""
    if len(forward.layers) == 1:
        return forward.layers[0]
    order = list(layer_shapes(forward, *of_one((images, *inputs))))

    def place(name: str) -> int:
        name = name if name in order else name.removesuffix(":0")  # of a module that is called once
        return order.index(name) if name in order else len(order)

    return min(forward.layers, key=place)


def of_one(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """Returns the shapes of one example of a batch."""
    # Not from shape and dtype alone: a shape also says over which devices of a shard_map the values vary.
    return jax.eval_shape(lambda arrays: jax.tree.map(lambda leaf: leaf[0], arrays), arrays)

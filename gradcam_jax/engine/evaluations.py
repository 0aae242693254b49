"""One image's targets mapped by many evaluations of the model, image after image, for any way to make the maps.

The model is cut at the mapped layer, where there is one. As in :func:`gradcam_jax.explain` the trunk runs as the
platform likes it and the head is batched. Images come one after the other and a maker evaluates stacks of bounded
size, so memory does not grow with the batch.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradcam_jax.attribution.layouts import Layout, channels_last
from gradcam_jax.engine.batches import batched, over_examples
from gradcam_jax.engine.core import of_one, require_dependence, run_trunk
from gradcam_jax.engine.explanation import Explanation
from gradcam_jax.engine.precision import precision_of
from gradcam_jax.engine.refusals import read_arguments, require_indices, require_layer
from gradcam_jax.engine.spec import Spec, TargetScore
from gradcam_jax.errors import InputError
from gradcam_jax.interception.tapped import Tapped

StackScores = Callable[[jax.Array], jax.Array]


class Example(NamedTuple):
    """One image, and the scores of its targets.

    Attributes:
        image: What the model takes.
        activation: What the mapped layer holds; the image itself where there is no layer.
        layout: How the layer's axes are arranged.
        scores_of_images: From images ``(m, H, W, 3)`` to scores ``(m, targets)``, by the whole model.
        scores_of_activations: The same from activations ``(m, ...)``, by the layers after the mapped one.
        key: PRNG key of this image, or None.
    """

    image: jax.Array
    activation: jax.Array
    layout: Layout
    scores_of_images: StackScores
    scores_of_activations: StackScores
    key: jax.Array | None


class Asked(NamedTuple):
    """What is asked of a batch; hashable, so that a compiled program is found by it.

    Attributes:
        score: As for :func:`gradcam_jax.explain`.
        layout: As for :func:`gradcam_jax.explain`.
        make_maps: From an :class:`Example` to its maps, ``(targets, ...)``.
        of_layer: Whether they are maps of a layer.
    """

    score: TargetScore
    layout: Layout | None
    make_maps: Callable[[Example], jax.Array]
    of_layer: bool = False


def explain_by_evaluations(
    forward: Tapped,
    images: jax.Array,
    targets: Any,
    inputs: tuple[Any, ...],
    asked: Asked,
    *,
    key: jax.Array | None = None,
) -> Explanation:
    """Maps each image's targets by evaluations of the model; compiled once a shape, inlined under ``jax.jit``.

    Args:
        forward: The model, tapped at one layer if the maps are a layer's.
        images: As for :func:`gradcam_jax.explain`.
        targets: As for :func:`gradcam_jax.explain`.
        inputs: As for :func:`gradcam_jax.explain`.
        asked: What is asked.
        key: PRNG key, for maps that need one.

    Raises:
        InputError: As for :func:`gradcam_jax.explain`; if there is not one layer.
        LayerError: If the layer is not reached, or the score cannot depend on it.
    """
    images, targets, choose = read_arguments(images, targets, asked.score, asked.layout)
    if asked.of_layer:
        require_layer(forward)
        if len(forward.layers) > 1:
            raise InputError(f"Expected a model tapped at one layer, got {', '.join(forward.layers)} instead.")
    maps = tuple(("cam", layer, asked.make_maps) for layer in forward.layers[:1])
    spec = Spec(asked.score, maps, choose, layout=asked.layout or channels_last)
    keys = None if key is None else jax.random.split(key, images.shape[0])
    explanation = _compiled(forward.at(forward.layers[:1]), images, targets, inputs, keys, spec=spec, asked=asked)
    require_indices(asked.score, explanation.outputs, targets)
    return explanation


@functools.partial(jax.jit, static_argnames=("spec", "asked"), inline=True)
def _compiled(
    forward: Tapped,
    images: jax.Array,
    targets: Any,
    inputs: tuple[Any, ...],
    keys: Any,
    *,
    spec: Spec,
    asked: Asked,
) -> Explanation:
    with precision_of(forward):
        images = images.astype(jnp.bfloat16) if forward.precision == "bfloat16" else images
        model = _Cut(forward)

        def explain_example(image: jax.Array, targets: Any, inputs: tuple[Any, ...], key: Any) -> Explanation:
            stack = image[jnp.newaxis]
            activation = model.activations(stack, inputs)
            outputs = jax.tree.map(lambda leaf: leaf[0], model.outputs(activation, stack, inputs))
            chosen = spec.choose(outputs, targets)
            if asked.of_layer:
                shapes = jax.tree.map(
                    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), (targets, *inputs)
                )
                require_dependence(model.head, spec, forward.layers, (*of_one((activation, stack)), *shapes))

            def scores(outputs: Any) -> jax.Array:
                return jax.vmap(lambda target: spec.score(outputs, target))(chosen)

            def scores_of_images(images: jax.Array) -> jax.Array:
                return jax.vmap(scores)(model.outputs(model.activations(images, inputs), images, inputs))

            def scores_of_activations(activations: jax.Array) -> jax.Array:
                # Not over image and inputs: what does not depend on the layer, a question's LSTM, runs once.
                return jax.vmap(lambda one: scores(model.head({}, one, image, *inputs)[0]))(activations)

            one = Example(image, activation[0], spec.layout, scores_of_images, scores_of_activations, key)
            return Explanation(outputs, scores(outputs), asked.make_maps(one).astype(jnp.float32), None, chosen)

        return jax.lax.map(lambda example: explain_example(*example), (images, targets, inputs, keys))


class _Cut:
    """A model cut at its layer; without one the activations are the images, and the head is the model."""

    def __init__(self, forward: Tapped):
        self._layer = forward.layers[0] if forward.layers else ""
        self._forward = forward
        whole = forward.at(())
        self.head = whole.resumed(self._layer) if self._layer else lambda taps, _, *example: whole(taps, *example)

    def activations(self, images: jax.Array, inputs: tuple[Any, ...]) -> jax.Array:
        """Returns what the layer holds of each image, ``(m, ...)``, with the further inputs of one example."""
        if not self._layer:
            return images
        repeated = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (len(images), *leaf.shape)), inputs)
        return run_trunk(self._forward, self._layer, repeated, images)

    def outputs(self, activations: jax.Array, images: jax.Array, inputs: tuple[Any, ...]) -> Any:
        """Returns the model's outputs of each image, leading axis m, with the further inputs of one example."""
        over = batched if self._layer else over_examples
        return over(lambda *example: self.head({}, *example, *inputs)[0], activations, images)

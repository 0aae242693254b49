"""What is measured of a map: where it lies on the photo, and what it does to the model's answer."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import PIL.ImageDraw

from gradcam_jax.attribution.resize import normalize_max
from gradcam_jax.attribution.resize_matrices import half_pixel_matrix
from gradcam_jax.evaluation.boxes import box_iou, foreground, map_box, mask_iou
from gradcam_jax.evaluation.confidence import confidence_change
from gradcam_jax.evaluation.curves import deletion, insertion
from gradcam_jax.evaluation.imputation import road
from gradcam_jax.evaluation.occlusion import occlusion_correlation, occlusion_drops
from gradcam_jax.evaluation.pointing import Box, energy_inside, inside_boxes, lies_in, points_within
from gradcam_jax.experiments.data.photos import LabelledBox
from gradcam_jax.images import to_network
from gradcam_jax.interception.tapped import Tapped
from gradcam_jax.tasks.task import Plan


class Place(NamedTuple):
    """Where a map lies, and where its object does.

    Attributes:
        heatmap: The map at the photo's own size, ``(H, W)``.
        peak: The centre of its highest cell, (x, y) in fractions of the photo; infinite if nothing is positive.
        mask: The object's pixels, ``(H, W)`` bool.
        boxes: The object's boxes, in fractions of the photo.
    """

    heatmap: np.ndarray
    peak: tuple[float, float]
    mask: np.ndarray
    boxes: Sequence[Box]


class Measure(NamedTuple):
    """One thing that is measured.

    Attributes:
        title: What it is, for a picture's heading.
        better: ``"higher"`` or ``"lower"``.
        of_place: From a place to a number; None if the model is asked.
    """

    title: str
    better: str
    of_place: Callable[[Place], float] | None = None


def _box_hit(place: Place) -> float:
    found = map_box(place.heatmap)
    return float(any(box_iou(found, box) >= 0.5 for box in place.boxes))


MEASURES: Mapping[str, Measure] = {
    "pointing": Measure("pointing game", "higher", lambda place: float(lies_in(place.peak, place.boxes))),
    "pointing_15": Measure(
        "pointing game, 15 pixels", "higher", lambda place: float(points_within(place.heatmap, place.mask))
    ),
    "energy": Measure("energy inside", "higher", lambda place: energy_inside(place.heatmap, place.mask)),
    "mask_iou": Measure(
        "IoU with the mask", "higher", lambda place: mask_iou(foreground(place.heatmap), place.mask)
    ),
    "box": Measure("box at IoU 0.5", "higher", _box_hit),
    "deletion": Measure("deletion", "lower"),
    "insertion": Measure("insertion", "higher"),
    "average_drop": Measure("average drop", "lower"),
    "increase": Measure("increase in confidence", "higher"),
    "occlusion": Measure("occlusion rank correlation", "higher"),
    "road": Measure("ROAD", "higher"),
}
"""What is measured of the map of an object that is on the photo."""

CURVES = ("deletion", "insertion")
"""Those that have a curve."""


class Faithfulness(NamedTuple):
    """How the model is asked; hashable, so that a compiled program is found by it.

    Attributes:
        plan: The plan of the task.
        confidence: The target's probability.
        names: What is measured.
        steps: Of deletion and insertion.
    """

    plan: Plan
    confidence: Callable[[Any, Any], jax.Array]
    names: tuple[str, ...]
    steps: int


@functools.partial(jax.jit, static_argnames="ask")
def faithfulness(
    forward: Tapped, images: jax.Array, inputs: Any, targets: Any, heatmaps: jax.Array, *, ask: Faithfulness
) -> dict[str, jax.Array]:
    """Measures what maps say of the model, of a batch; photo by photo and map by map.

    Args:
        forward: The model.
        images: As the preprocessing returns them, ``(n, H, W, 3)``.
        inputs: The model's other inputs, leading axis n.
        targets: Tree with a leading axis n.
        heatmaps: ``(n, m, H, W)`` float32, not negative.
        ask: What is measured.

    Returns:
        ``probability``, ``(n,)``; by the name of a measure ``(n, m)``; and by that of a curve, ``curve_NAME``,
        ``(n, m, steps + 1)``.
    """
    whole = forward.at(())

    def one(image: jax.Array, inputs: Any, target: Any, heatmaps: jax.Array) -> dict[str, jax.Array]:
        network = to_network(image, ask.plan.preprocessing)

        def probability(image: jax.Array) -> jax.Array:
            return ask.confidence(whole({}, image, *inputs)[0], target)

        def score(image: jax.Array) -> jax.Array:
            return ask.plan.spec.score(whole({}, image, *inputs)[0], target)

        results = {"probability": probability(network)}
        if "occlusion" in ask.names:
            grid = _occlusion_grid(image.shape[0])
            drops = occlusion_drops(score, network, **grid)
            correlate = functools.partial(occlusion_correlation, drops, **grid)
            results["occlusion"] = jax.vmap(correlate)(heatmaps)
        of_map = functools.partial(_of_map, probability, network, ask)
        return results | jax.lax.map(of_map, heatmaps)

    return jax.lax.map(lambda case: one(*case), (images, inputs, targets, heatmaps))


def _of_map(
    probability: Callable[[jax.Array], jax.Array], image: jax.Array, ask: Faithfulness, heatmap: jax.Array
) -> dict[str, jax.Array]:
    results = {}
    for name, curve_of in (("deletion", deletion), ("insertion", insertion)):
        if name in ask.names:
            curve = curve_of(probability, image, heatmap, steps=ask.steps)
            results |= {name: curve.area, f"curve_{name}": curve.scores}
    if {"average_drop", "increase"} & set(ask.names):
        change = confidence_change(probability, image, normalize_max(heatmap))
        results |= {"average_drop": change.drop, "increase": change.increase.astype(jnp.float32)}
    if "road" in ask.names:
        results["road"] = road(probability, image, heatmap, jax.random.key(0)).combined
    return results


def _occlusion_grid(side: int) -> dict[str, int]:
    """Returns patch and stride for an image's side: a seventh of it, 32 of 224 pixels, and half of that."""
    patch = max(side // 7, 1)
    return {"patch": patch, "stride": max(patch // 2, 1)}


def positive(values: jax.Array) -> jax.Array:
    """Returns what is measured of a method's result, at its own resolution and not negative.

    Args:
        values: A map of each target, ``(n, targets, h, w)``, which is rectified, or a gradient at the pixels,
            ``(n, targets, H, W, 3)``: of its channels the largest magnitude counts.
    """
    return jnp.max(jnp.abs(values), axis=-1) if values.ndim == 5 else jax.nn.relu(values)


def peaks_of(maps: jax.Array) -> jax.Array:
    """Returns the centre of each map's highest cell, ``(..., h, w)`` -> (x, y) in fractions, ``(..., 2)``.

    It is infinite if nothing is positive.
    """
    height, width = maps.shape[-2:]
    flat = maps.reshape((*maps.shape[:-2], -1))
    rows, columns = jnp.divmod(jnp.argmax(flat, axis=-1), width)
    centres = (columns.astype(jnp.float32) + 0.5) / width, (rows.astype(jnp.float32) + 0.5) / height
    peaks = jnp.stack(centres, axis=-1)
    return jnp.where(jnp.max(flat, axis=-1, keepdims=True) > 0, peaks, jnp.full_like(peaks, jnp.inf))


def place_on_photo(heatmap: np.ndarray, view: Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """Enlarges a map from the network's image to the photo's own size; what the image does not show is 0.

    Args:
        heatmap: ``(H, W)``.
        view: The part of the photo that the image shows, in pixels.
        size: ``(height, width)`` of the photo.
    """
    left, top, right, bottom = (round(edge) for edge in view)
    rows = half_pixel_matrix(heatmap.shape[0], max(bottom - top, 1))
    columns = half_pixel_matrix(heatmap.shape[1], max(right - left, 1))
    photo = np.zeros(size, np.float32)
    photo[top:bottom, left:right] = (rows @ heatmap @ columns.T)[: size[0] - top, : size[1] - left]
    return photo


def mask_of(objects: Sequence[LabelledBox], size: tuple[int, int]) -> np.ndarray:
    """Marks the pixels of some objects: inside their outlines where these are known, else inside their boxes.

    Args:
        objects: With their places in fractions of the photo.
        size: ``(height, width)`` of the photo.

    Returns:
        bool, ``(H, W)``.
    """
    height, width = size
    picture = PIL.Image.new("1", (width, height))
    draw = PIL.ImageDraw.Draw(picture)
    for item in objects:
        for outline in item.polygons:
            points = np.reshape(outline, (-1, 2)) * (width, height)
            if len(points) > 2:
                draw.polygon([tuple(point) for point in points.tolist()], fill=1)
    return np.asarray(picture) | inside_boxes([item.box for item in objects if not item.polygons], size)

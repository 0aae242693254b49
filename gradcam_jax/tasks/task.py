"""What a task is, and the one function that explains photos for every task.

``classification``, ``vqa`` and ``captioning`` beside this file make a :class:`Task` each. One photo is a batch of
one, through the same code.
"""

import functools
import importlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gradcam_jax.attribution.pixels import guided_grad_cam
from gradcam_jax.attribution.relu_rules import guided
from gradcam_jax.attribution.resize import resize_corner_aligned
from gradcam_jax.engine.core import Parts, explain_batch
from gradcam_jax.engine.spec import Spec
from gradcam_jax.errors import InputError
from gradcam_jax.images import Preprocessing, read_photo, to_network, to_rgb
from gradcam_jax.interception.tapped import Tapped
from gradcam_jax.tasks.methods import (
    DEFAULT_METHODS,
    GUIDED,
    GUIDED_BACKPROP,
    GUIDED_GRAD_CAM,
    evaluated_maps,
    with_gradient_maps,
)
from gradcam_jax.tasks.rows import Description
from gradcam_jax.zoo import Loaded, named_preprocessing

Request = Mapping[str, str]
"""What is asked about a photo, by the command line's names: ``label``, ``question``, ``answer``, ``caption``."""

Arrays = Mapping[str, np.ndarray]
Results = dict[str, jax.Array]


Again = Callable[[Tapped, Any, tuple[Any, ...]], tuple[Tapped, tuple[Any, ...]]]


def as_asked(forward: Tapped, outputs: Any, inputs: tuple[Any, ...]) -> tuple[Tapped, tuple[Any, ...]]:
    """Asks the same of the model again, whatever it said."""
    del outputs
    return forward, inputs


class Plan(NamedTuple):
    """What is computed for a photo; hashable, so that a compiled program is found by it.

    Attributes:
        preprocessing: From RGB in [0, 1] to what the model takes.
        spec: Score, maps and targets, without guided gradients.
        inputs: Names of the model's inputs besides the image, in its order.
        summarise: From a batch's parts to the arrays that are kept, ``cam`` (n, targets, h, w) among them.
        again: From the forward, its outputs and its inputs to the forward and the inputs by which the same targets
            of other images are scored: the same, unless what the model is asked follows from its own outputs.
    """

    preprocessing: Preprocessing
    spec: Spec
    inputs: tuple[str, ...]
    summarise: Callable[[Parts], Results]
    again: Again = as_asked


class Task(NamedTuple):
    """One task with one model.

    Attributes:
        name: ``"classification"``, ``"vqa"`` or ``"captioning"``.
        loaded: The model, its labels and words.
        layer: The mapped layer.
        size: Side of the model's image, in pixels.
        forward: The model tapped at the layer.
        plan: What is computed.
        settings: What the results depend on besides model and layer, as plain JSON values.
        encode: From a request to the arrays that go with the image, by name; what the request leaves out is as the
            task was made. Raises InputError for what cannot be had.
        record: From one photo's results and its request to its line of a run's manifest, plain JSON values: what
            was asked, what the model says, and each target with its name, score and whether nothing speaks for it.
            Raises InputError where there is nothing to explain. It takes a fiftieth of ``describe``'s time.
        describe: From one photo's results and its request to what is said of it.
    """

    name: str
    loaded: Loaded
    layer: str
    size: int
    forward: Tapped
    plan: Plan
    settings: Mapping[str, Any]
    encode: Callable[[Request], Arrays]
    record: Callable[[Mapping[str, np.ndarray], Request], dict[str, Any]]
    describe: Callable[[Mapping[str, np.ndarray], Request], Description]


class ExplainedPhoto(NamedTuple):
    """A photo and what is said of it.

    Attributes:
        photo: uint8 RGB, ``(H, W, 3)``.
        box: The part of the photo that the maps cover, ``(left, top, right, bottom)`` in its pixels.
        description: The rows with their maps, and what else is said.
    """

    photo: np.ndarray
    box: tuple[float, float, float, float]
    description: Description

    def _repr_png_(self) -> bytes:
        """Shows the photo with its maps in a notebook; ``gc.pictures.show(found)`` does so in other styles."""
        # By name: pictures know of tasks, not the other way round.
        return importlib.import_module("gradcam_jax.pictures").show(self)._repr_png_()


def temperature_of(loaded: Loaded, temperature: float, *, original: float) -> float:
    """Returns what scores are softened by: the temperature asked for, else the model's, else the original's.

    Raises:
        InputError: If it is under 0, or no number.
    """
    if not temperature >= 0:
        raise InputError(f"Expected a temperature over 0, or 0 for the model's own, got {temperature} instead.")
    return temperature or loaded.entry.temperature or original


def temperature_setting(temperature: float) -> float | None:
    """Returns a temperature as JSON has it, where no number is infinite."""
    return temperature if math.isfinite(temperature) else None


def explain_photo(
    task: Task,
    photo: str | Path | np.ndarray,
    *,
    methods: tuple[str, ...] = DEFAULT_METHODS,
    compiler_options: Mapping[str, Any] | None = None,
    **request: str,
) -> ExplainedPhoto:
    """Explains one photo.

    Args:
        task: The task.
        photo: A file, or uint8 RGB ``(H, W, 3)``.
        methods: What is computed, of :data:`gradcam_jax.tasks.METHODS`.
        compiler_options: XLA's, as ``jax.jit`` takes them, for a program that is worth less or more compilation.
        **request: What is asked, by the command line's names: ``label="boxer, tiger cat"``.

    Returns:
        The photo with its description.

    Raises:
        InputError: If the photo cannot be read, or what is asked cannot be had.
    """
    arrays = task.encode(request)
    pixels = photo if isinstance(photo, np.ndarray) else read_photo(photo)
    resized = task.plan.preprocessing.resize(pixels, task.size)
    batch = jax.tree.map(lambda leaf: np.asarray(leaf)[np.newaxis], (resized.image, dict(arrays)))
    explain = _compiled(tuple(sorted((compiler_options or {}).items())))
    results = jax.device_get(explain(task.forward, *batch, plan=task.plan, methods=methods))
    description = task.describe({name: array[0] for name, array in results.items()}, request)
    return ExplainedPhoto(pixels, resized.box, description)


def explain_photos(
    forward: Tapped, images: jax.Array, arrays: Mapping[str, jax.Array], *, plan: Plan, methods: tuple[str, ...]
) -> Results:
    """Explains a batch of photos: the function that one photo, a run over many and the benchmark compile.

    Args:
        forward: The task's, or :func:`gradcam_jax.prepared` from it.
        images: RGB, ``(n, H, W, 3)``: float32 in [0, 1], or uint8 or uint16.
        arrays: What the task's ``encode`` gave, each with a leading axis n.
        plan: The task's.
        methods: What is computed, of :data:`gradcam_jax.tasks.METHODS`.

    Returns:
        Name -> ``(n, ...)``: what the task keeps; the other methods' maps, ``(n, targets, h, w)``, by their names;
        and, if they are asked for, ``guided_backprop`` and ``guided_grad_cam``, ``(n, targets, H, W, 3)`` float32.
    """
    network = to_network(images, plan.preprocessing)
    wanted = [name for name in GUIDED if name in methods]
    inputs = tuple(arrays[name] for name in plan.inputs)
    guided_forward = forward.with_relu_rule(guided) if wanted else None
    spec = with_gradient_maps(plan.spec._replace(guided=bool(wanted)), methods)
    parts = explain_batch(forward, guided_forward, network, arrays.get("targets"), inputs, spec)
    forward, inputs = plan.again(forward, parts.outputs, inputs)
    own = evaluated_maps(spec, forward, network, parts.targets, inputs, methods)
    parts = parts._replace(maps=parts.maps | own)
    results = plan.summarise(parts)
    if parts.guided_backprop is None:
        return results
    pixels = to_rgb(parts.guided_backprop, plan.preprocessing)
    heatmaps = resize_corner_aligned(jax.nn.relu(results["cam"]), (images.shape[-3], images.shape[-2]))
    made = {GUIDED_BACKPROP: pixels, GUIDED_GRAD_CAM: guided_grad_cam(heatmaps, pixels)}
    return results | {name: made[name] for name in wanted}


@functools.cache
def _compiled(compiler_options: tuple[tuple[str, Any], ...]) -> Callable[..., Results]:
    options = dict(compiler_options) or None
    return jax.jit(explain_photos, static_argnames=("plan", "methods"), compiler_options=options)


class Setting(NamedTuple):
    """How a model is fed and mapped, as far as the user chose it.

    Attributes:
        layer: The layer to map, by name or 1-based number; empty: the model's own.
        size: Side of the model's image, in pixels; 0: the model's own.
        preprocessing: Name of a preprocessing, or ``package.module:NAME`` of one's own; empty: the model's own.
        counterfactual: Whether the map shows what would have to go for the model to be surer.
    """

    layer: str = ""
    size: int = 0
    preprocessing: str = ""
    counterfactual: bool = False


DEFAULT_SETTING = Setting()
"""The model's own."""


def preprocessing_and_size(loaded: Loaded, setting: Setting) -> tuple[Preprocessing, int]:
    """Returns the preprocessing and the side of the image: those chosen, or the model's own.

    Raises:
        InputError: If there is no such preprocessing, or the size is not from 32 to 4096 pixels.
    """
    if setting.size and not 32 <= setting.size <= 4096:
        raise InputError(f"Expected --input_sz from 32 to 4096 pixels, got {setting.size} instead.")
    if not setting.preprocessing:
        return loaded.entry.preprocessing, setting.size or loaded.entry.size
    preprocessing = named_preprocessing(setting.preprocessing)
    own = loaded.entry.size != loaded.entry.preprocessing.size
    return preprocessing, setting.size or (loaded.entry.size if own else preprocessing.size)

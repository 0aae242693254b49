"""What a run computes of each image, as one compiled function on the devices, and the store that it writes to."""

import contextlib
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.engine.devices import DeviceFunction, choose_batch_size
from gradcam_jax.engine.many_classes import with_summed_head
from gradcam_jax.engine.prepared import prepared
from gradcam_jax.errors import InputError
from gradcam_jax.images.decoder import EXACT, Decoding
from gradcam_jax.interception.tapped import Tapped
from gradcam_jax.pipeline.store import RunStore
from gradcam_jax.tasks.indices import SCALE
from gradcam_jax.tasks.methods import GRAD_CAM, GUIDED
from gradcam_jax.tasks.task import Plan, Results, Task, explain_photos

_ANY_REQUEST = {"question": "What is this?"}  # its arrays have the shapes of every image's
_MANY = 4  # classes of a photo, from which a head summed beforehand pays


class Computation(NamedTuple):
    """What is computed of each image, and how.

    Attributes:
        methods: Of :data:`gradcam_jax.tasks.METHODS`.
        dtype: The precision, of :data:`gradcam_jax.engine.precision.PRECISIONS`.
        guided_dtype: Type in which guided gradients leave the devices and are stored: ``"float32"``, or
            ``"float16"`` with each target's scale beside it, off by at most 2^-11 of its largest value.
    """

    methods: tuple[str, ...] = (GRAD_CAM,)
    dtype: str = "float32"
    guided_dtype: str = "float16"


DEFAULT_COMPUTATION = Computation()
"""The maps, in exact float32."""


def device_function(
    task: Task, devices: Sequence[Any], computation: Computation = DEFAULT_COMPUTATION
) -> DeviceFunction:
    """Returns a task's function of ``(images, arrays)`` on some devices, its model made ready for many calls.

    Args:
        task: The task and the model.
        devices: Where; a batch is a multiple of their number.
        computation: What is computed.
    """
    return DeviceFunction(*_function_and_forward(task, computation), devices)


def fitting_batch_size(task: Task, devices: Sequence[Any], computation: Computation = DEFAULT_COMPUTATION) -> int:
    """Returns the largest batch that fits the devices' memory, over all of them.

    Args:
        task: The task and the model.
        devices: Where.
        computation: What is computed.
    """
    function, forward = _function_and_forward(task, computation)
    image = jax.ShapeDtypeStruct((task.size, task.size, 3), image_dtype(task))
    return choose_batch_size(function, forward, devices, image, dict(task.encode(_ANY_REQUEST)))


def image_dtype(task: Task) -> str:
    """Returns the type in which a run's images reach the devices: bytes, or 16-bit fixed point for floats."""
    return "uint8" if task.plan.preprocessing.in_bytes else "uint16"


def open_store(
    task: Task,
    folder: str | Path,
    computation: Computation = DEFAULT_COMPUTATION,
    *,
    decoding: Decoding = EXACT,
    **options: Any,
) -> RunStore:
    """Returns the store of a task's run.

    Args:
        task: The task and the model.
        folder: The run's folder.
        computation: What is computed.
        decoding: How photos are decoded.
        **options: Those of :class:`gradcam_jax.pipeline.store.RunStore`.
    """
    settings = run_settings(task, computation, decoding)
    return RunStore(folder, settings, jax.local_devices()[0].device_kind, **options)


def run_settings(
    task: Task, computation: Computation = DEFAULT_COMPUTATION, decoding: Decoding = EXACT
) -> dict[str, Any]:
    """Returns what a run's results depend on, as plain JSON values: what ``run.json`` holds."""
    return {
        "task": task.name,
        "model": task.loaded.name,
        # Two checkpoints of one network are two runs.
        **({"weights_and_labels": task.loaded.digest()} if task.loaded.source else {}),
        "layer": task.layer,
        "map": task.plan.spec.maps[0][2].__name__,
        "places": len(task.encode(_ANY_REQUEST).get("targets", ())),  # every photo of a run has as many
        "methods": computation.methods,
        "dtype": computation.dtype,
        "guided_dtype": computation.guided_dtype,
        "recipe": task.plan.preprocessing.name,
        "input_size": task.size,
        **{f"{name}_decoding": chosen for name, chosen in decoding._asdict().items()},
        **task.settings,
    }


def _function_and_forward(task: Task, computation: Computation) -> tuple[Callable[..., Any], Tapped]:
    arrays = task.encode(_ANY_REQUEST)
    image = jax.ShapeDtypeStruct((task.size, task.size, 3), np.float32)
    inputs = (arrays[name] for name in task.plan.inputs)
    forward = prepared(task.forward, image, *inputs, precision=computation.dtype)
    summable = computation.methods == (GRAD_CAM,) and computation.dtype != "bfloat16" and not task.plan.inputs
    if len(arrays.get("targets", ())) >= _MANY and summable:
        with contextlib.suppress(InputError):  # of a head that cannot be summed
            forward = with_summed_head(forward, image)
    return functools.partial(_explain, plan=task.plan, computation=computation), forward


def _explain(forward: Tapped, images: Any, arrays: Any, *, plan: Plan, computation: Computation) -> Results:
    results = explain_photos(forward, images, arrays, plan=plan, methods=computation.methods)
    if computation.guided_dtype == "float32":
        return results
    kept = {}
    for name, array in results.items():
        kept |= _halves(name, array) if name in GUIDED else {name: array}
    return kept


def _halves(name: str, gradients: jax.Array) -> Results:
    """Returns gradients ``(n, targets, H, W, 3)`` as float16 over powers of two, ``(n, targets)`` float32."""
    largest = jnp.max(jnp.abs(gradients), axis=(-3, -2, -1))
    scale = jnp.exp2(jnp.floor(jnp.log2(jnp.where(largest > 0, largest, 1))))
    halves = (gradients / scale[..., jnp.newaxis, jnp.newaxis, jnp.newaxis]).astype(jnp.float16)
    return {name: halves, name + SCALE: scale}

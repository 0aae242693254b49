"""This project's side of the benchmark, on whatever device JAX has."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradcam_jax import zoo
from gradcam_jax.attribution.pixels import guided_grad_cam
from gradcam_jax.attribution.resize import resize_corner_aligned
from gradcam_jax.engine.explanation import explain
from gradcam_jax.engine.many_classes import with_summed_head
from gradcam_jax.engine.prepared import prepared
from gradcam_jax.engine.spec import all_classes
from gradcam_jax.experiments.benchmark.work import Prepared, Task, class_indices
from gradcam_jax.interception.linen import tapped
from gradcam_jax.interception.tapped import Tapped


class OwnSide:
    """Keeps one model on the device from task to task; products of ``matrix`` rows measure its peak."""

    def __init__(self, matrix: int = 4096) -> None:
        self.matrix = matrix
        self._model: tuple[str, Tapped] | None = None

    def about(self) -> dict[str, Any]:
        """Returns the device in words, the version, and the measured peak of a matrix product in GFLOP/s."""
        device = jax.devices()[0]
        return {
            "device": f"{device.device_kind} ({device.platform})",
            "version": f"jax {jax.__version__}",
            "peak_gflops": _matmul_gflops(self.matrix),
        }

    def prepare(self, task: Task) -> Prepared:
        """Compiles a task; its facts are seconds of compilation, GFLOP of one call, and MB of temporaries."""
        entry = zoo.find(task.model)
        (image,) = zoo.example_inputs(entry)
        forward = self._load(entry, image)
        if task.work in ("ten_classes", "all_classes"):
            forward = with_summed_head(forward, image)
        images = jax.random.normal(jax.random.key(1), (task.batch_size, *image.shape))
        labels = jnp.array(class_indices(task.batch_size, 10 if task.work == "ten_classes" else 1))
        program = jax.jit(PROGRAMS[task.work])
        start = time.perf_counter()
        compiled = program.lower(forward, images, labels).compile()
        seconds = time.perf_counter() - start
        single = program.lower(forward, images[:1], labels[:1]).compile()
        facts = {
            "compile_seconds": seconds,
            # Of one photo: the compiler counts the body of a loop over photos once.
            "gflop": (single.cost_analysis() or {}).get("flops", float("nan")) * task.batch_size / 1e9,
            "temporary_mb": getattr(compiled.memory_analysis(), "temp_size_in_bytes", float("nan")) / 1e6,
        }
        return Prepared(lambda: jax.block_until_ready(compiled(forward, images, labels)), facts)

    def _load(self, entry: zoo.Entry, image: jax.ShapeDtypeStruct) -> Tapped:
        if self._model is None or self._model[0] != entry.name:
            self._model = None  # the last one's memory is freed first
            model = entry.build()
            here = zoo.weights_path(entry) is not None
            variables = zoo.load(entry.name).variables if here else zoo.random_variables(model, image)
            forward = tapped(model, jax.device_put(variables), entry.layer)
            self._model = entry.name, jax.block_until_ready(prepared(forward, image))
        return self._model[1]


def _guided_grad_cam(forward: Tapped, images: jax.Array, labels: jax.Array) -> jax.Array:
    explanation = explain(forward, images, labels, guided=True)
    assert explanation.guided_backprop is not None
    heatmaps = resize_corner_aligned(jax.nn.relu(explanation.cam), (images.shape[1], images.shape[2]))
    return guided_grad_cam(heatmaps, explanation.guided_backprop)


PROGRAMS: dict[str, Callable[[Tapped, jax.Array, jax.Array], Any]] = {
    "forward": lambda forward, images, labels: explain(forward, images, labels).outputs,
    "grad_cam": lambda forward, images, labels: explain(forward, images, labels).cam,
    "ten_classes": lambda forward, images, labels: explain(forward, images, labels).cam,
    "all_classes": lambda forward, images, _: explain(forward, images, all_classes).cam,
    "guided_backprop": lambda forward, images, labels: (
        explain(forward, images, labels, guided=True).guided_backprop
    ),
    "guided_grad_cam": _guided_grad_cam,
}
"""What is compiled for each kind of work."""


def _matmul_gflops(side: int) -> float:
    matrix = jnp.ones((side, side))
    multiply = jax.jit(jnp.matmul)
    times = []
    for _ in range(6):
        start = time.perf_counter()
        jax.block_until_ready(multiply(matrix, matrix))
        times.append(time.perf_counter() - start)
    return 2 * side**3 / min(times) / 1e9

"""This project's side of the benchmark, on whatever device JAX has."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.engine.image_batches import explain_images, map_targets
from gradcam_jax.engine.many_classes import map_all_classes, map_classes, summed_head
from gradcam_jax.experiments.benchmark.work import Prepared, Task, class_indices
from gradcam_jax.models.convolution import with_prepared_kernels
from gradcam_jax.tasks.classification import class_score
from gradcam_jax.zoo import classifiers as zoo

_MATRIX = 4096  # side of the matrices whose product measures the device's peak


class OwnSide:
    """Keeps one model's variables on the device from task to task."""

    def __init__(self) -> None:
        self._model: tuple[str, Any, Any] | None = None

    def about(self) -> dict[str, Any]:
        """Returns the device in words, the version, and the measured peak of a matrix product in GFLOP/s."""
        device = jax.devices()[0]
        return {
            "device": f"{device.device_kind} ({device.platform})",
            "version": f"jax {jax.__version__}",
            "peak_gflops": _matmul_gflops(),
        }

    def prepare(self, task: Task) -> Prepared:
        """Compiles a task; its facts are seconds of compilation, GFLOP of one call, and MB of temporaries."""
        entry = zoo.find_entry(task.model)
        model, variables = self._load(entry)
        program = _program(task, entry, model, variables)
        shape = zoo.example_image(entry).shape
        images = jax.random.normal(jax.random.key(1), (task.batch_size, *shape))
        count = 10 if task.work == "ten_classes" else 1
        labels = jnp.array(class_indices(task.batch_size, count))
        start = time.perf_counter()
        compiled = jax.jit(program).lower(variables, images, labels).compile()
        seconds = time.perf_counter() - start
        single = jax.jit(program).lower(variables, images[:1], labels[:1]).compile()
        facts = {
            "compile_seconds": seconds,
            # Of one photo: the compiler counts the body of a loop over photos once.
            "gflop": (single.cost_analysis() or {}).get("flops", float("nan")) * task.batch_size / 1e9,
            "temporary_mb": getattr(compiled.memory_analysis(), "temp_size_in_bytes", float("nan")) / 1e6,
        }
        return Prepared(lambda: jax.block_until_ready(compiled(variables, images, labels)), facts)

    def _load(self, entry: zoo.Entry) -> tuple[Any, Any]:
        if self._model is None or self._model[0] != entry.name:
            self._model = None  # let the last one go first
            model, image = entry.build(), zoo.example_image(entry)
            weights = zoo.load_variables(entry) if zoo.weights_path(entry) else random_variables(model, image)
            variables = jax.device_put(weights)
            self._model = entry.name, model, jax.block_until_ready(with_prepared_kernels(model, variables, image))
        return self._model[1], self._model[2]


def random_variables(model: Any, image: jax.ShapeDtypeStruct) -> Any:
    """Draws He-normal kernels and N(0, .05) biases, at which activations keep their scale."""
    generator = np.random.default_rng(0)

    def draw(path: Any, leaf: Any) -> np.ndarray:
        if path[-1].key in ("scale", "var"):
            return np.ones(leaf.shape, np.float32)
        spread = np.sqrt(2 / np.prod(leaf.shape[:-1])) if len(leaf.shape) > 1 else 0.05
        return generator.standard_normal(leaf.shape, np.float32) * np.float32(spread)

    return jax.tree_util.tree_map_with_path(draw, variable_shapes(model, image))


def _program(task: Task, entry: zoo.Entry, model: Any, variables: Any) -> Callable[..., Any]:
    layer = entry.layer
    if task.work == "forward":
        return lambda v, images, labels: map_targets(model, v, layer, class_score, images, labels).outputs
    if task.work == "grad_cam":
        return lambda v, images, labels: map_targets(model, v, layer, class_score, images, labels).cam
    if task.work in ("ten_classes", "all_classes"):
        head = summed_head(model, variables, layer, zoo.example_image(entry))
        if task.work == "ten_classes":
            return lambda v, images, labels: map_classes(model, v, head, images, labels).cam
        return lambda v, images, _: map_all_classes(model, v, head, images).cam

    def explain(variables: Any, images: jax.Array, labels: jax.Array) -> jax.Array:
        explanation = explain_images(model, variables, layer, class_score, images, labels)
        return getattr(explanation, task.work)

    return explain


def _matmul_gflops() -> float:
    matrix = jnp.ones((_MATRIX, _MATRIX))
    multiply = jax.jit(jnp.matmul)
    jax.block_until_ready(multiply(matrix, matrix))
    times = []
    for _ in range(5):
        start = time.perf_counter()
        jax.block_until_ready(multiply(matrix, matrix))
        times.append(time.perf_counter() - start)
    return 2 * _MATRIX**3 / min(times) / 1e9

"""This project's side of the benchmark, on whatever device JAX has."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax import zoo
from gradcam_jax.attribution.maps import counterfactual_grad_cam, grad_cam
from gradcam_jax.attribution.pixels import guided_grad_cam
from gradcam_jax.attribution.resize import resize_corner_aligned
from gradcam_jax.engine.explanation import explain
from gradcam_jax.engine.many_classes import with_summed_head
from gradcam_jax.engine.perturbed import ablation_cam
from gradcam_jax.engine.prepared import prepared
from gradcam_jax.engine.scores import finer_score
from gradcam_jax.engine.spec import all_classes
from gradcam_jax.errors import InputError
from gradcam_jax.experiments.benchmark.agreement import compare
from gradcam_jax.experiments.benchmark.models import load_or_random, published_entry
from gradcam_jax.experiments.benchmark.operations import count_operations
from gradcam_jax.experiments.benchmark.rates import matrix_rates, memory_rates
from gradcam_jax.experiments.benchmark.work import Prepared, Task, UnsupportedError, class_indices, in_words
from gradcam_jax.interception.linen import tapped
from gradcam_jax.interception.tapped import Tapped
from gradcam_jax.tasks.methods import GRADIENT_MAPS

_SUMMED = ("ten_classes", "all_classes")
_MERGED = ("gradient_methods",)  # traced as two passes that the compiler makes one of: not counted
_METHODS = {"grad_cam": grad_cam, "counterfactual": counterfactual_grad_cam, **GRADIENT_MAPS}


class _Program(NamedTuple):
    compiled: Any
    facts: dict[str, float]


class OwnSide:
    """Keeps models and the programs that were compiled ahead on the device, from task to task."""

    matrix_rates = staticmethod(matrix_rates)
    memory_rates = staticmethod(memory_rates)
    compare = staticmethod(compare)

    def __init__(self) -> None:
        self._models: dict[str, Tapped] = {}
        self._forwards: dict[tuple[str, str, bool], Tapped] = {}
        self._programs: dict[Task, _Program] = {}

    def about(self) -> dict[str, Any]:
        """Returns the device in words and the version."""
        device = jax.devices()[0]
        return {"device": f"{device.device_kind} ({device.platform})", "version": f"jax {jax.__version__}"}

    def refused(self, model: str, precisions: Sequence[str]) -> dict[str, str]:
        """Returns the precisions that there are not, here or at all: name -> why."""
        reasons = {}
        for precision in precisions:
            try:
                self._forward(Task(model, "forward", 1, precision))
            except UnsupportedError as error:
                reasons[precision] = str(error)
        return reasons

    def compile_ahead(self, tasks: Sequence[Sequence[Any]], seconds: float, threads: int) -> dict[str, str]:
        """Compiles tasks in threads, the first ones first; what has not begun after so many seconds is left out.

        Returns:
            What is not compiled: the task in words -> why.
        """
        deadline, left_out = time.perf_counter() + seconds, {}

        def compile_task(task: Task) -> None:
            if time.perf_counter() > deadline:
                left_out[in_words(task)] = f"not compiled within {seconds:.0f} s"
                return
            try:
                self._programs[task] = self._compile(task)
            except Exception as error:  # one task of many, and it is recorded
                left_out[in_words(task)] = f"{type(error).__name__}: {error}"[:300]

        named = [Task(*task) for task in tasks]
        for task in named:  # in one thread: of several each would load the model
            self._forward(task)
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(compile_task, named))
        return left_out

    def prepare(self, task: Task) -> Prepared:
        """Makes inputs, and compiles unless that was done ahead.

        The facts are seconds of compilation, MB of temporaries and, where it is one pass, GFLOP by the
        textbook.
        """
        forward, program = self._forward(task), self._programs.get(task) or self._compile(task)
        image, labels = _arguments(task)
        images = jax.random.normal(jax.random.key(1), image.shape)
        classes = jnp.array(class_indices(*labels.shape))
        return Prepared(lambda: jax.block_until_ready(program.compiled(forward, images, classes)), program.facts)

    def maps(self, task: Sequence[Any], photos: str, labels: Sequence[int], path: str) -> list[int]:
        """Explains photos by the program of a ``grad_cam`` task, and writes outputs and maps as ``.npz``.

        Args:
            task: Its fields; a batch at least as large as the photos are many.
            photos: A ``.npy`` file, ``(n, H, W, 3)`` float32 as the model takes them.
            labels: The class of each; without any the predicted ones are explained.
            path: Where ``outputs`` ``(n, classes)`` and ``cam`` ``(n, h, w)`` go.

        Returns:
            The classes that were explained.
        """
        named, images = Task(*task), np.load(photos)
        forward, program = self._forward(named), self._programs.get(named) or self._compile(named)
        batch = jnp.asarray(np.resize(images, (named.batch_size, *images.shape[1:])))

        def run(labels: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
            classes = jnp.asarray(np.resize(np.array(labels, np.int32), (named.batch_size, 1)))
            outputs, cam = program.compiled(forward, batch, classes)
            return np.asarray(outputs)[: len(images)], np.asarray(cam)[: len(images), 0]

        labels = labels or run([0])[0].argmax(axis=-1).tolist()
        outputs, cam = run(labels)
        np.savez(path, outputs=outputs, cam=cam)
        return list(labels)

    def _compile(self, task: Task) -> _Program:
        forward, arguments = self._forward(task), _arguments(task)
        start = time.perf_counter()
        traced = jax.jit(PROGRAMS[task.work]).trace(forward, *arguments)
        compiled = traced.lower().compile()
        facts = {
            "compile_seconds": time.perf_counter() - start,
            "temporary_mb": getattr(compiled.memory_analysis(), "temp_size_in_bytes", float("nan")) / 1e6,
        }
        if task.work not in _MERGED:
            facts["gflop"] = count_operations(traced.jaxpr) / 1e9
        return _Program(compiled, facts)

    def _forward(self, task: Task) -> Tapped:
        """Returns the task's model, loaded once; a precision that the device lacks is unsupported."""
        key = task.model, task.precision, task.work in _SUMMED
        entry = published_entry(task.model)
        (image,) = zoo.example_inputs(entry)
        if entry.name not in self._models:
            loaded = load_or_random(entry.name)
            self._models[entry.name] = tapped(loaded.model, jax.device_put(loaded.variables), entry.layer)
        if key not in self._forwards:
            forward = self._models[entry.name]
            if task.work in _SUMMED:
                forward = with_summed_head(forward, image)
            try:
                self._forwards[key] = prepared(forward, image, precision=task.precision)
            except InputError as error:
                raise UnsupportedError(str(error)) from error
        return jax.block_until_ready(self._forwards[key])


def _arguments(task: Task) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    (image,) = zoo.example_inputs(published_entry(task.model))
    targets = 10 if task.work == "ten_classes" else 1
    return (
        jax.ShapeDtypeStruct((task.batch_size, *image.shape), jnp.float32),
        jax.ShapeDtypeStruct((task.batch_size, targets), jnp.int32),
    )


def _grad_cam(forward: Tapped, images: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    explanation = explain(forward, images, labels)
    return explanation.outputs, explanation.cam


def _gradient_methods(forward: Tapped, images: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
    # Finer-CAM has a score of its own; the compiler finds that the pass through the layers is the same.
    finer = explain(forward, images, labels, score=finer_score).cam
    return explain(forward, images, labels, method=_METHODS).cam | {"finer_cam": finer}


def _guided_grad_cam(forward: Tapped, images: jax.Array, labels: jax.Array) -> jax.Array:
    explanation = explain(forward, images, labels, guided=True)
    assert explanation.guided_backprop is not None
    heatmaps = resize_corner_aligned(jax.nn.relu(explanation.cam), (images.shape[1], images.shape[2]))
    return guided_grad_cam(heatmaps, explanation.guided_backprop)


PROGRAMS: dict[str, Callable[[Tapped, jax.Array, jax.Array], Any]] = {
    "forward": lambda forward, images, labels: explain(forward, images, labels).outputs,
    "grad_cam": _grad_cam,
    "ten_classes": lambda forward, images, labels: explain(forward, images, labels).cam,
    "all_classes": lambda forward, images, _: explain(forward, images, all_classes).cam,
    "guided_backprop": lambda forward, images, labels: (
        explain(forward, images, labels, guided=True).guided_backprop
    ),
    "guided_grad_cam": _guided_grad_cam,
    "gradient_methods": _gradient_methods,
    "ablation_cam": lambda forward, images, labels: ablation_cam(forward, images, labels).cam,
}
"""What is compiled for each kind of work."""

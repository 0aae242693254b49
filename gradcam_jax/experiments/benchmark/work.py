"""What is timed: one kind of work, on one model, for one size of batch; and what a competitor must do."""

from collections.abc import Callable
from typing import Any, NamedTuple

WORK = {
    "forward": "forward pass alone",
    "grad_cam": "Grad-CAM, one class a photo",
    "ten_classes": "Grad-CAM, ten classes a photo",
    "all_classes": "Grad-CAM, all 1,000 classes",
    "guided_backprop": "guided backpropagation",
    "guided_grad_cam": "Guided Grad-CAM",
    "gradient_methods": "ten methods of activations and gradients (pytorch-grad-cam: eight)",
    "ablation_cam": "Ablation-CAM",
}
"""Every kind of work by name, in words."""

DEFAULT_WORK = tuple(name for name in WORK if name not in ("gradient_methods", "ablation_cam"))
"""What is timed unless it is said."""


class Task(NamedTuple):
    """One model's work: a name in the zoo, one of :data:`WORK`, photos a call, and the trunk's precision."""

    model: str
    work: str
    batch_size: int
    precision: str = "float32"


class Prepared(NamedTuple):
    """A task ready to run: ``run`` returns when the result is there; ``facts`` are known beforehand."""

    run: Callable[[], Any]
    facts: dict[str, float]


class UnsupportedError(ValueError):
    """A library does not do this work on this model."""


def class_indices(batch_size: int, count: int) -> list[list[int]]:
    """Returns the classes to explain, ``count`` for each photo, of 1,000."""
    return [[(37 * photo + 101 * index) % 1000 for index in range(count)] for photo in range(batch_size)]


def in_words(task: Task) -> str:
    """Returns a task as a line of a report names it.

    Example:
        >>> in_words(Task("vgg16", "grad_cam", 64, "bfloat16"))
        'vgg16 grad_cam 64 bfloat16'
    """
    return " ".join(map(str, task))

"""What the page computes: by the tasks of the program, from activations that a photo's visit keeps."""

import secrets
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from gradcam_jax.engine.precision import with_precision
from gradcam_jax.errors import InputError, lookup
from gradcam_jax.page.visits import Recent, Visit
from gradcam_jax.tasks import Setting, Task, captioning, classification, explain_photo, vqa
from gradcam_jax.tasks.indices import SHOWN_PREDICTIONS
from gradcam_jax.tasks.kept import explain_kept, keep_photo
from gradcam_jax.tasks.methods import (
    GRAD_CAM,
    GRADIENT_MAPS,
    GUIDED_BACKPROP,
    GUIDED_GRAD_CAM,
    OF_CLASSES,
    TITLES,
)
from gradcam_jax.tasks.task import ExplainedPhoto, Request
from gradcam_jax.zoo import DEFAULTS, MODELS, Loaded, load, spatial_layers, weights_path

QUESTION = "What animal?"
SIZES = (224, 320, 448)
COUNTERFACTUAL = "counterfactual"
_PLACES = 8
"""Targets of one explanation: the highest predictions, and those that were typed."""

_TYPED = {"classification": "label", "vqa": "answer"}
FROM_ACTIVATIONS = (GRAD_CAM, COUNTERFACTUAL, *GRADIENT_MAPS)
"""Methods that need a photo's activations and gradients alone: all targets at once, in milliseconds."""

METHODS = {
    GRAD_CAM: "Grad-CAM",
    COUNTERFACTUAL: "counterfactual: what would have to go",
    **{name: TITLES[name] for name in (*GRADIENT_MAPS, "finer_cam", "ablation_cam", "smooth_grad_cam")},
    GUIDED_BACKPROP: "guided backpropagation",
    GUIDED_GRAD_CAM: "Guided Grad-CAM",
}
"""What the page offers -> what it calls it: the program's methods but those that take minutes on a processor."""

_SMALLEST_MAP = 5


class Choice(NamedTuple):
    """What is explained, and how.

    Attributes:
        task: The task.
        model: A model of the zoo for it, or one's own that the page was started with.
        layer: The layer to map; empty: the model's own.
        size: Side of the model's image, in pixels; 0: the model's own.
        method: ``"counterfactual"``, or one of the program's methods.
    """

    task: str
    model: str = ""
    layer: str = ""
    size: int = 0
    method: str = "grad_cam"


class Shown(NamedTuple):
    """An explanation that the page shows.

    Attributes:
        name: Under which it is kept.
        choice: What was chosen, with the model's own where nothing was.
        task: The task.
        explained: The photo, and what is said of it.
    """

    name: str
    choice: Choice
    task: Task
    explained: ExplainedPhoto


class Explainer:
    """Explains visitors' photos; models, and tasks made of them, are made once and kept."""

    def __init__(self, at_once: int, own: Sequence[Loaded] = ()) -> None:
        """Begins with models of one's own, if any; so many explanations are computed at once."""
        self._own = tuple(own)
        self._loaded = {(loaded.entry.task, loaded.name): loaded for loaded in own}
        self._tasks: Recent[Task] = Recent(24)
        self._making = threading.Lock()
        self._turns = threading.BoundedSemaphore(at_once)

    def offers(self) -> dict[str, Any]:
        """Returns what can be chosen, as plain JSON values: models whose weights are here, methods, sizes."""
        tasks = {}
        for task, default in DEFAULTS.items():
            here = [entry for entry in MODELS.values() if entry.task == task and weights_path(entry) is not None]
            here.sort(key=lambda entry: entry.name != default)
            own = [loaded.entry._replace(name=loaded.name) for loaded in self._own if loaded.entry.task == task]
            names = {entry.name for entry in own}
            here = own + [entry for entry in here if entry.name not in names]
            tasks[task] = [{"name": entry.name, "layer": entry.layer, "size": entry.size} for entry in here]
        return {
            "tasks": tasks,
            "methods": list(METHODS.items()),
            "at_once": FROM_ACTIVATIONS,
            "sizes": SIZES,
            "question": QUESTION,
        }

    def layers(self, task: str, model: str, size: int) -> list[dict[str, Any]]:
        """Returns the layers that can be mapped at this size, with their shapes, the last first."""
        loaded = self._load(Choice(task, model))
        layers = spatial_layers(loaded, size or None)
        return [
            {"name": name, "shape": "x".join(map(str, shape)), "default": name == loaded.entry.layer}
            for name, shape in reversed(layers.items())
            if min(shape[:2]) >= min(_SMALLEST_MAP, *layers[loaded.entry.layer][:2])
        ]

    def names(self, task: str, model: str) -> list[str]:
        """Returns what can be asked about by name: classes or answers."""
        return sorted(self._load(Choice(task, model)).labels.entries, key=str.casefold)

    def explain(self, visit: Visit, choice: Choice, request: Request) -> Shown:
        """Explains a visit's photo.

        What the photo's activations give costs the model's head alone once they are kept; guided gradients, and
        other methods that need the whole model, are computed for one target.

        Args:
            visit: The visit.
            choice: What is explained, and how.
            request: What is asked; what it leaves out is the model's own prediction.

        Raises:
            InputError: If something that was asked for cannot be had.
        """
        lookup(METHODS, choice.method, "method")
        if choice.method in OF_CLASSES and choice.task == "captioning":
            raise InputError(f"{METHODS[choice.method]} compares classes or answers; choose another for captions.")
        task = self._task(choice)
        choice = choice._replace(model=task.loaded.name, layer=task.layer, size=task.size)
        asked = _with_predictions(task, choice, request)
        task.encode(asked)  # what is wrong with it is said before anything is computed
        with visit.lock, self._turns:
            if choice.method in FROM_ACTIVATIONS:
                key = choice._replace(method="")
                kept = visit.kept.use(key, lambda: keep_photo(task, visit.photo))
                maps = tuple(GRADIENT_MAPS) if choice.method in GRADIENT_MAPS else ()
                explained = explain_kept(task, kept, methods=(GRAD_CAM, *maps), **asked)
            else:
                methods = (GRAD_CAM, choice.method)
                explained = explain_photo(task, visit.photo, methods=methods, **asked)
            shown = Shown(secrets.token_urlsafe(9), choice, task, explained)
            return visit.shown.use(shown.name, lambda: shown)

    def warm_up(self, photo: np.ndarray) -> None:
        """Compiles what a first visitor needs, for each task's first model if it is its default or one's own."""
        for task, models in self.offers()["tasks"].items():
            name = models[0]["name"] if models else ""
            if name == DEFAULTS[task] or (task, name) in self._loaded:
                self.explain(Visit(photo), Choice(task, name), {})

    def _load(self, choice: Choice) -> Loaded:
        name = choice.model or lookup(DEFAULTS, choice.task, "task")
        key = choice.task, name
        with self._making:
            if key not in self._loaded:
                lookup(MODELS, name, "model")  # a path is no model: nobody reads this machine's files by the page
                self._loaded[key] = load(name, task=choice.task)
            return self._loaded[key]

    def _task(self, choice: Choice) -> Task:
        loaded = self._load(choice)
        if choice.size not in (0, loaded.entry.size, *SIZES):
            raise InputError(f"Expected a size of {', '.join(map(str, SIZES))}, got {choice.size} instead.")
        whole = choice.method not in FROM_ACTIVATIONS
        with self._making:
            return self._tasks.use(
                choice._replace(model=loaded.name, method=f"{choice.method == COUNTERFACTUAL} {whole}"),
                lambda: _make(loaded, choice, one_target=whole),
            )


def _make(loaded: Loaded, choice: Choice, *, one_target: bool) -> Task:
    setting = Setting(choice.layer, choice.size, "", choice.method == COUNTERFACTUAL)
    count = 1 if one_target else min(SHOWN_PREDICTIONS, len(loaded.labels))
    targets: dict[str, Any] = {"top_k": count, "max_targets": 1 if one_target else _PLACES}
    if choice.task == "classification":
        task = classification(loaded, setting, **targets)
    elif choice.task == "vqa":
        task = vqa(loaded, setting, question=QUESTION, **targets)
    else:
        task = captioning(loaded, setting)
    arrays, image = task.encode({}), jax.ShapeDtypeStruct((task.size, task.size, 3), np.float32)
    inputs = (arrays[name] for name in task.plan.inputs)
    return task._replace(forward=with_precision(task.forward, "float32", image, *inputs))


def _with_predictions(task: Task, choice: Choice, request: Request) -> dict[str, Any]:
    """Adds the model's own predictions to what was typed, where there is room for them."""
    request = {name: text for name, text in request.items() if text.strip()}
    flag = _TYPED.get(task.name)
    if flag is None or flag not in request or choice.method not in FROM_ACTIVATIONS:
        return request
    count = len([part for part in request[flag].split(",") if part.strip()])
    if count > _PLACES - SHOWN_PREDICTIONS:
        raise InputError(f"Expected at most {_PLACES - SHOWN_PREDICTIONS} at once, got {count}.")
    return {**request, flag: f"{request[flag]}, -1"}

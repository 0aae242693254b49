"""What a user may ask, once for every task, for one photo and for many; and the task that this makes.

A flag has one meaning. Where it has none it is refused by its name.
"""

import dataclasses
from typing import Any

from gradcam_jax.engine.prepared import TRUNK_DTYPES
from gradcam_jax.errors import InputError
from gradcam_jax.pictures import KINDS
from gradcam_jax.pipeline import Computation
from gradcam_jax.tasks.captioning import BEAM_SIZE, LENGTH_EXPONENT, captioning
from gradcam_jax.tasks.classification import classification
from gradcam_jax.tasks.indices import count_targets
from gradcam_jax.tasks.task import GRAD_CAM, METHODS, Setting, Task, parse_methods
from gradcam_jax.tasks.vqa import vqa
from gradcam_jax.zoo import load

SAVE = ("maps", *KINDS, "all")
QUESTION = "What animal?"
"""Asked where no question is."""

_SAMPLE_LABELS = "Egyptian cat, espresso"
_INDICES = ("classification", "vqa")
_TASKS: dict[str, tuple[str, ...]] = {
    "label": ("classification",),
    "question": ("vqa",),
    "answer": ("vqa",),
    "caption": ("captioning",),
    "phrases": ("captioning",),
    "keep_case": ("captioning",),
    "beam_size": ("captioning",),
    "length_exponent": ("captioning",),
    "top_k": _INDICES,
    "max_targets": _INDICES,
}
_ONE_PHOTO = ("input_image_path", "phrases", "output_image_name", "save_as_heatmap")
_MANY_PHOTOS = (
    *("max_targets", "save", "batch_size", "workers", "scaled_decoding", "retry_failed"),
    *("process_id", "num_processes"),
)


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asked for; the names are the command line's.

    Attributes:
        task: ``"classification"``, ``"vqa"`` or ``"captioning"``.
        model: A model's name in the zoo or a checkpoint of one; empty for the task's own.
        input_image_path: One photo; empty, without ``images``, for the sample photo.
        images: Many photos: a folder, a glob, a list (.txt, .jsonl, .csv), or tfds:NAME/SPLIT.
        label: Classes to explain, comma-separated; -1, or nothing, stands for the predicted ones. On the sample
            photo nothing stands for its two classes.
        question: The question.
        answer: Answers to explain, comma-separated; -1, or nothing, stands for the predicted ones.
        caption: The caption to explain; empty for the generated one.
        phrases: Phrases of the caption to explain as well, comma-separated.
        top_k: How many of the highest predictions -1 stands for.
        max_targets: Targets a photo, at most; 0 for as many as the other flags ask for.
        counterfactual: Whether to map what would have to go for the model to be surer.
        keep_case: Whether capitals of a caption are left, as in the original program.
        beam_size: Beams kept while captions are generated; 1 is the original program's greedy choice.
        length_exponent: How captions of different lengths are compared while generating; 0 is neuraltalk2's sum.
        layer_name: The layer to map, by name or 1-based number; empty for the model's own.
        input_sz: Side of the network's image, in pixels; 0 for the model's own.
        recipe: A preprocessing; empty for the model's own.
        methods: What is computed, comma-separated, of ``grad_cam``, ``guided_backprop`` and ``guided_grad_cam``;
            empty for everything of one photo, and for maps of many.
        dtype: Type of the trunk; head, gradients and maps are float32.
        out_path: The folder for pictures and numbers.
        output_image_name: What file names carry in place of the target's own.
        save_as_heatmap: Whether the map is saved in colour (else in grey).
        save: What is drawn of many photos: ``"maps"`` (nothing), ``"overlays"``, ``"panels"`` or ``"all"``.
        batch_size: Photos at once over all devices, or 0 for what fits.
        workers: Threads that decode, or 0 for one a core, on CPUs for every second one.
        scaled_decoding: Whether large JPEGs are decoded at 1/2, 1/4 or 1/8 of their size.
        retry_failed: Whether photos that failed in an earlier run are tried again.
        process_id: Number of this process.
        num_processes: How many share the photos.
    """

    task: str = "classification"
    model: str = ""
    input_image_path: str = ""
    images: str = ""
    label: str = ""
    question: str = ""
    answer: str = ""
    caption: str = ""
    phrases: str = ""
    top_k: int = 1
    max_targets: int = 0
    counterfactual: bool = False
    keep_case: bool = False
    beam_size: int = BEAM_SIZE
    length_exponent: float = LENGTH_EXPONENT
    layer_name: str = ""
    input_sz: int = 0
    recipe: str = ""
    methods: str = ""
    dtype: str = "float32"
    out_path: str = "output"
    output_image_name: str = ""
    save_as_heatmap: bool = True
    save: str = "maps"
    batch_size: int = 0
    workers: int = 0
    scaled_decoding: bool = False
    retry_failed: bool = False
    process_id: int = 0
    num_processes: int = 1

    def check(self) -> None:
        """Raises InputError for what no model could do, and for a flag that has no meaning here."""
        for field in dataclasses.fields(self):
            if getattr(self, field.name) != field.default:
                self._require_meaning(field.name)
        for name, known in (("dtype", tuple(TRUNK_DTYPES)), ("save", SAVE)):
            value = getattr(self, name)
            if value not in known:
                raise InputError(
                    f"Expected --{name} {', '.join(known[:-1])} or {known[-1]}, got {value!r} instead."
                )
        parse_methods(self.methods)
        if not 0 <= self.process_id < self.num_processes:
            raise InputError(
                f"Expected --process_id from 0 to {self.num_processes - 1} (--num_processes "
                f"{self.num_processes}), got {self.process_id} instead."
            )

    def _require_meaning(self, name: str) -> None:
        tasks = _TASKS.get(name, (self.task,))
        if self.task not in tasks:
            raise InputError(f"--{name} is for --task {' or '.join(tasks)}, not for {self.task}.")
        if self.images and name in _ONE_PHOTO:
            raise InputError(f"--{name} is for one photo, not for many (--images).")
        if not self.images and name in _MANY_PHOTOS:
            raise InputError(f"--{name} is for many photos (--images), not for one.")

    @property
    def computation(self) -> Computation:
        """What is computed of each photo."""
        everything = METHODS if not self.images else (GRAD_CAM,)
        return Computation(parse_methods(self.methods) if self.methods else everything, self.dtype)

    @property
    def setting(self) -> Setting:
        """How the model is fed and mapped."""
        return Setting(self.layer_name, self.input_sz, self.recipe, self.counterfactual)


def make_task(options: Options) -> Task:
    """Loads the model and returns the task with everything that holds for all photos.

    Raises:
        InputError: If something that was asked for cannot be had.
    """
    loaded = load(options.model, task=options.task)
    return _MAKE[options.task](loaded, options)


def _targets(options: Options, text: str) -> dict[str, Any]:
    """Returns the options of a task whose targets are indices; many photos have the same number of places."""
    places = (options.max_targets or count_targets(text, options.top_k)) if options.images else 0
    return {"top_k": options.top_k, "max_targets": places}


def _classification(loaded: Any, options: Options) -> Task:
    label = options.label or ("" if options.input_image_path or options.images else _SAMPLE_LABELS)
    return classification(loaded, options.setting, label=label, **_targets(options, label))


def _vqa(loaded: Any, options: Options) -> Task:
    question, targets = options.question or QUESTION, _targets(options, options.answer)
    return vqa(loaded, options.setting, question=question, answer=options.answer, **targets)


def _captioning(loaded: Any, options: Options) -> Task:
    return captioning(
        loaded,
        options.setting,
        caption=options.caption,
        phrases=options.phrases,
        beam_size=options.beam_size,
        length_exponent=options.length_exponent,
        keep_case=options.keep_case,
    )


_MAKE = {"classification": _classification, "vqa": _vqa, "captioning": _captioning}

"""What a user may ask, declared once: the fields of :class:`Options` are the command line's flags.

A flag has one meaning, for every task, for one photo and for many. Where it has none it is refused by its name.
"""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any

from gradcam_jax.engine.precision import PRECISIONS, require_precision
from gradcam_jax.errors import InputError
from gradcam_jax.images import PREPROCESSINGS
from gradcam_jax.images.fast import require_fast
from gradcam_jax.pictures import COLORS, FORMATS, KINDS, PAPERS, SCALES
from gradcam_jax.pipeline import Computation, read_items
from gradcam_jax.pipeline.items import is_list
from gradcam_jax.tasks.captioning import BEAM_SIZE, LENGTH_EXPONENT, captioning
from gradcam_jax.tasks.classification import classification
from gradcam_jax.tasks.indices import count_targets
from gradcam_jax.tasks.methods import DEFAULT_METHODS, GRAD_CAM, METHODS, OF_CLASSES, TITLES, parse_methods
from gradcam_jax.tasks.task import Setting, Task
from gradcam_jax.tasks.vqa import vqa
from gradcam_jax.zoo import DEFAULTS, MODELS, Loaded, is_function_name, load

QUESTION = "What animal?"
"""Asked where no question is."""

_SAMPLE_LABELS = "Egyptian cat, espresso"
_CLASSIFICATION, _VQA, _CAPTIONING = (("classification",), ("vqa",), ("captioning",))
_ONE, _MANY = "one photo", "many photos"


def _option(
    default: Any, text: str, *, tasks: Sequence[str] = (), photos: str = "", values: Sequence[str] = ()
) -> Any:
    """Declares an option: its help, the tasks and the number of photos that it is for, and its possible values."""
    metadata = {"help": text, "tasks": tuple(tasks), "photos": photos, "values": tuple(values)}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asked for; each field's ``metadata["help"]`` says what it is."""

    task: str = _option("classification", "What the model does.", values=tuple(DEFAULTS))
    model: str = _option(
        "",
        f"The model: a checkpoint, {', '.join(MODELS)}, or package.module:function of a function that returns a "
        "model of your own. Default: the task's own.",
    )
    checkpoint: str = _option(
        "",
        "The weights of --model, unless it has its own: of a function's model an Orbax folder, safetensors, "
        "msgpack or npz; of one of the zoo's any file that convert_checkpoint.py takes.",
        tasks=_CLASSIFICATION,
    )
    labels: str = _option(
        "",
        "The classes' names by index: a text file with a name a line, or JSON. Default: the checkpoint's.",
        tasks=_CLASSIFICATION,
    )
    input_image_path: str = _option(
        "", "The file; its name alone does too. Default: the sample photo.", photos=_ONE
    )
    images: str = _option(
        "",
        "Many photos: a folder, a glob, a list (.txt; .jsonl or .csv with path and, if wanted, id, label, "
        "question, answer, caption), or tfds:NAME/SPLIT.",
    )
    label: str = _option(
        "",
        "Classes to explain, comma-separated: 1-based numbers (243 = boxer), names or WordNet ids; -1 stands for "
        "the predicted ones. Default: -1; on the sample photo its two classes.",
        tasks=_CLASSIFICATION,
    )
    question: str = _option(
        "",
        f"The question; of a list's line, if it brings none. Default: {QUESTION} of a photo, none of a line.",
        tasks=_VQA,
    )
    answer: str = _option(
        "", "Answers to explain, comma-separated; -1 stands for the predicted ones. Default: -1.", tasks=_VQA
    )
    caption: str = _option("", "The caption to explain. Default: the generated one.", tasks=_CAPTIONING)
    phrases: str = _option(
        "", "Phrases of the caption to explain too, comma-separated.", tasks=_CAPTIONING, photos=_ONE
    )
    top_k: int = _option(1, "How many of the highest predictions -1 stands for.", tasks=_CLASSIFICATION + _VQA)
    max_targets: int = _option(
        0,
        "Targets a photo, at most. Default: as many as the flags or a list's lines ask for.",
        tasks=_CLASSIFICATION + _VQA,
        photos=_MANY,
    )
    counterfactual: bool = _option(False, "Map what would have to go for the model to be surer.")
    keep_case: bool = _option(
        False, "Leave the caption's capitals, as the original program does.", tasks=_CAPTIONING
    )
    beam_size: int = _option(
        BEAM_SIZE,
        "Beams kept while generating; 1 is the original program's greedy choice.",
        tasks=_CAPTIONING,
    )
    length_exponent: float = _option(
        LENGTH_EXPONENT,
        "Generated captions are ranked by log p / length^this; 0 is neuraltalk2's rule.",
        tasks=_CAPTIONING,
    )
    temperature: float = _option(
        0.0,
        "Scores are T log softmax(logits / T); inf, the original's of answers, are the logits, 1 the log-"
        "probabilities, the original's of words. Default: the model's own, 4 of the bundled ones.",
        tasks=_VQA + _CAPTIONING,
    )
    layer_name: str = _option(
        "",
        "The layer to map, by name or 1-based number. Default: the model's last convolution's output; of a model "
        "of your own the last layer that has positions.",
    )
    input_sz: int = _option(0, "Side of the network's image, in pixels. Default: the model's own.")
    recipe: str = _option(
        "",
        f"The preprocessing: {', '.join(PREPROCESSINGS)}, or package.module:NAME of your own. Default: the "
        "model's; of a model of your own zero_to_one.",
    )
    methods: str = _option(
        "",
        f"What is computed, comma-separated, of {', '.join(METHODS)}. Default: {', '.join(DEFAULT_METHODS)} of "
        "one photo, grad_cam, which always is, of many.",
    )
    dtype: str = _option(
        "float32",
        "The precision. Exact float32 is the same on every device; tensorfloat32, which NVIDIA GPUs alone have, "
        "and are faster in; or a trunk in bfloat16, whose head, gradients and maps are float32.",
        values=PRECISIONS,
    )
    guided_dtype: str = _option(
        "float16", "Type in which guided gradients are kept.", photos=_MANY, values=("float16", "float32")
    )
    out_path: str = _option("output", "The folder for the pictures and numbers.")
    output_image_name: str = _option("", "What file names carry. Default: the target's own name.", photos=_ONE)
    save_as_heatmap: bool = _option(True, "Save the map in colour (1), or in grey (any other).", photos=_ONE)
    colors: str = _option("original", "The maps' colour map.", values=COLORS)
    scale: str = _option(
        "own", "Maps of several targets are coloured each by its own highest value, or share one.", values=SCALES
    )
    paper: str = _option("white", "What panels are drawn on.", values=tuple(PAPERS))
    panel_format: str = _option("png", "The panels' format; in an SVG texts are texts.", values=FORMATS)
    save: str = _option(
        "maps", "What is drawn besides the raw maps.", photos=_MANY, values=("maps", *KINDS, "all")
    )
    batch_size: int = _option(0, "How many at once, over all devices. Default: what fits.", photos=_MANY)
    workers: int = _option(
        0, "Processes that decode, at most. Default: one a core, on CPUs half as many.", photos=_MANY
    )
    fast_decoding: bool = _option(
        False,
        "Decode with the libraries of the extra `fast`: 2.5 times as fast, bytes off by 1.",
        photos=_MANY,
    )
    scaled_decoding: bool = _option(
        False, "Decode large JPEGs at 1/2, 1/4 or 1/8 of their size; faster.", photos=_MANY
    )
    report: bool = _option(
        False,
        "Make a report at the end: OUT_PATH/report/index.html, which opens from disk.",
        photos=_MANY,
    )
    retry_failed: bool = _option(False, "Try those that failed again.", photos=_MANY)
    ray: str = _option(
        "",
        "Share them among the machines of a Ray cluster: its address, auto, or local for one on this machine.",
        photos=_MANY,
    )
    part_size: int = _option(2000, "Photos that a machine takes at a time, with --ray.", photos=_MANY)
    process_id: int = _option(0, "Number of this process, from 0.", photos=_MANY)
    num_processes: int = _option(1, "How many processes share them.", photos=_MANY)

    def check(self) -> None:
        """Raises InputError for what no model or this device could do, and for a flag that has no meaning here."""
        for field in dataclasses.fields(self):
            value, values = getattr(self, field.name), field.metadata["values"]
            if values and value not in values:
                known = f"{', '.join(values[:-1])} or {values[-1]}"
                raise InputError(f"Expected --{field.name} {known}, got {value!r} instead.")
            if value != field.default:
                require_meaning(field.name, field.metadata["tasks"], field.metadata["photos"], self)
        for name in ("max_targets", "batch_size", "workers"):
            if getattr(self, name) < 0:
                raise InputError(f"Expected --{name} of 0 or more, got {getattr(self, name)} instead.")
        if self.part_size != 2000 and not self.ray:
            raise InputError("--part_size cuts the list for --ray, which was not given.")
        require_precision(self.dtype)
        if self.fast_decoding:
            require_fast()
        others = [name for name in parse_methods(self.methods) if name in TITLES]
        for name in others:
            if name in OF_CLASSES and self.task == "captioning":
                raise InputError(f"--methods {name} is for --task classification or vqa, not for captioning.")
        if self.counterfactual and others:
            raise InputError(f"--counterfactual is for grad_cam alone, not for {', '.join(others)}.")
        if not 0 <= self.process_id < self.num_processes:
            raise InputError(
                f"Expected --process_id from 0 to {self.num_processes - 1} (--num_processes "
                f"{self.num_processes}), got {self.process_id} instead."
            )

    @property
    def computation(self) -> Computation:
        """What is computed of each photo."""
        everything = DEFAULT_METHODS if not self.images else (GRAD_CAM,)
        methods = parse_methods(self.methods) if self.methods else everything
        return Computation(methods, self.dtype, self.guided_dtype)


def require_meaning(name: str, tasks: Sequence[str], photos: str, options: Options) -> None:
    """Raises InputError if a flag that was given has no meaning for the task or the number of photos."""
    if tasks and options.task not in tasks:
        raise InputError(f"--{name} is for --task {' or '.join(tasks)}, not for {options.task}.")
    given = _MANY if options.images else _ONE
    if photos and photos != given:
        raise InputError(f"--{name} is for {photos}, not for {given}{' (--images)' if options.images else ''}.")


def make_task(options: Options) -> Task:
    """Loads the model and returns the task with everything that holds for all photos.

    Raises:
        InputError: If something that was asked for cannot be had.
    """
    loaded = load_model(options)
    setting = Setting(options.layer_name, options.input_sz, options.recipe, options.counterfactual)
    return _MAKE[options.task](loaded, setting, options)


def load_model(options: Options) -> Loaded:
    """Loads the model that the options name; of a model of one's own they choose what the zoo knows of others.

    Raises:
        InputError: If there is none, or what was asked for cannot be had.
    """
    own = {}
    if is_function_name(options.model):
        own = {"recipe": options.recipe, "layer": options.layer_name, "size": options.input_sz}
    checkpoint = os.path.expanduser(options.checkpoint)
    labels = os.path.expanduser(options.labels)
    return load(options.model, task=options.task, checkpoint=checkpoint, labels=labels, **own)


def _targets(options: Options, text: str) -> dict[str, Any]:
    """Returns the options of a task whose targets are indices; many photos have the same number of places."""
    places = 0
    if options.images:
        name = "answer" if options.task == "vqa" else "label"
        places = options.max_targets or max(
            [count_targets(text, options.top_k)]
            + [count_targets(line, options.top_k) for line in _named_in_lines(options.images, name)]
        )
    return {"top_k": options.top_k, "max_targets": places}


def _named_in_lines(source: str, name: str) -> Iterator[str]:
    """Yields what each line of a list names of its own."""
    if is_list(source):
        yield from (item.request[name] for item in read_items(source) if name in item.request)


def _classification(loaded: Any, setting: Setting, options: Options) -> Task:
    on_sample = not options.input_image_path and not options.images
    has_both = all(name.strip() in loaded.labels for name in _SAMPLE_LABELS.split(","))
    label = options.label or (_SAMPLE_LABELS if on_sample and has_both else "")
    return classification(loaded, setting, label=label, **_targets(options, label))


def _vqa(loaded: Any, setting: Setting, options: Options) -> Task:
    # A list's line that asks nothing is a fault; a folder's photos are all asked the same.
    question = options.question or ("" if is_list(options.images) else QUESTION)
    targets = {**_targets(options, options.answer), "temperature": options.temperature}
    return vqa(loaded, setting, question=question, answer=options.answer, **targets)


def _captioning(loaded: Any, setting: Setting, options: Options) -> Task:
    return captioning(
        loaded,
        setting,
        caption=options.caption,
        phrases=options.phrases,
        beam_size=options.beam_size,
        length_exponent=options.length_exponent,
        temperature=options.temperature,
        keep_case=options.keep_case,
    )


_MAKE = {"classification": _classification, "vqa": _vqa, "captioning": _captioning}

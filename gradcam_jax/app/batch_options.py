"""What a user may ask of a run over many images, and the job that this makes."""

import dataclasses
from typing import Any

from gradcam_jax.app.batch_pictures import KINDS
from gradcam_jax.app.captioning import EXPLAINING_SIZE
from gradcam_jax.app.classification import find_recipe, input_size
from gradcam_jax.errors import InputError
from gradcam_jax.pipeline.captioning import captioning_job
from gradcam_jax.pipeline.classification import classification_job
from gradcam_jax.pipeline.job import Job, parse_methods
from gradcam_jax.pipeline.vqa import vqa_job
from gradcam_jax.zoo import captioners, question_models
from gradcam_jax.zoo import classifiers as zoo

DTYPES = ("float32", "bfloat16")
SAVE = ("maps", *KINDS, "all")


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asked for; the names are the command line's.

    Attributes:
        images: What to explain: a folder, a glob, a list (.txt, .jsonl, .csv), or tfds:NAME/SPLIT.
        task: ``"classification"``, ``"vqa"`` or ``"captioning"``.
        model: The model's name, or a checkpoint of a VQA model or captioner; empty for the task's own.
        out_path: The run's folder.
        layer_name: The layer to map, or empty for the model's own.
        input_sz: Side of the network's image, in pixels, or 0 for the model's own.
        recipe: A preprocessing recipe, or empty for the model's own.
        methods: Comma-separated: ``grad_cam``, ``guided_backprop``, ``guided_grad_cam``.
        label: Classification: labels for images that bring none.
        question: VQA: the question for images that bring none.
        answer: VQA: answers for images that bring none.
        caption: Captioning: the caption for images that bring none; empty for the generated one.
        top_k: Targets an image.
        beam_size: Captioning: beginnings kept while captions are generated.
        length_exponent: Captioning: how captions of different lengths are compared.
        dtype: ``"float32"``, or ``"bfloat16"`` for the trunk.
        save: ``"maps"`` (always written), ``"overlays"``, ``"panels"`` or ``"all"``.
        batch_size: Images at once over all devices, or 0 for what fits.
        workers: Threads that decode, or 0 for one a core, on CPUs for every second one.
        scaled_decoding: Whether large JPEGs are decoded at 1/2, 1/4 or 1/8 of their size.
        retry_failed: Whether images that failed in an earlier run are tried again.
        process: Number of this process.
        processes: How many share the images.
    """

    images: str
    task: str = "classification"
    model: str = ""
    out_path: str = "output"
    layer_name: str = ""
    input_sz: int = 0
    recipe: str = ""
    methods: str = "grad_cam"
    label: str = ""
    question: str = ""
    answer: str = ""
    caption: str = ""
    top_k: int = 1
    beam_size: int = 3
    length_exponent: float = 1.0
    dtype: str = "float32"
    save: str = "maps"
    batch_size: int = 0
    workers: int = 0
    scaled_decoding: bool = False
    retry_failed: bool = False
    process: int = 0
    processes: int = 1


def check(options: Options) -> None:
    """Raises InputError for what no model could do, before one is loaded."""
    for name, value, known in (("dtype", options.dtype, DTYPES), ("save", options.save, SAVE)):
        if value not in known:
            raise InputError(f"Expected --{name} {', '.join(known[:-1])} or {known[-1]}, got {value!r} instead.")
    if options.top_k < 1:
        raise InputError(f"Expected --top_k of 1 or more, got {options.top_k} instead.")
    if not 0 <= options.process < options.processes:
        raise InputError(
            f"Expected --process_id from 0 to {options.processes - 1} (--num_processes {options.processes}), "
            f"got {options.process} instead."
        )


def make_job(options: Options) -> Job:
    """Loads the model and returns what is to be done with each image."""
    methods, in_bfloat16 = parse_methods(options.methods), options.dtype == "bfloat16"
    shared: dict[str, Any] = {"methods": methods, "in_bfloat16": in_bfloat16}
    recipe = find_recipe(options.recipe) if options.recipe else None
    if options.task == "vqa":
        answering = question_models.load_question_model(options.model or question_models.DEFAULT)
        recipe = recipe or answering.entry.recipe
        size = input_size(options.input_sz or answering.entry.size, recipe)
        layer = question_models.find_layer(answering, options.layer_name, size)
        return vqa_job(
            answering,
            recipe,
            size,
            layer=layer,
            question=options.question,
            answers=options.answer,
            top_k=options.top_k,
            **shared,
        )
    if options.task == "captioning":
        captioner = captioners.load_captioner(options.model or captioners.DEFAULT)
        recipe = recipe or captioner.entry.recipe
        size = input_size(options.input_sz or EXPLAINING_SIZE.get(captioner.name, 0), recipe)
        layer = captioners.find_layer(captioner, options.layer_name, size)
        return captioning_job(
            captioner,
            recipe,
            size,
            layer=layer,
            caption=options.caption,
            beam_size=options.beam_size,
            length_exponent=options.length_exponent,
            **shared,
        )
    entry = zoo.find_entry(options.model or zoo.DEFAULT["classification"])
    recipe = recipe or entry.recipe
    size, model = input_size(options.input_sz, recipe), entry.build()
    variables = zoo.load_variables(entry)
    layer = zoo.find_layer(entry, model, variables, options.layer_name or entry.layer, size)
    return classification_job(
        entry,
        recipe,
        size,
        layer=layer,
        labels=options.label,
        top_k=options.top_k,
        variables=variables,
        **shared,
    )

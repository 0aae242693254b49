"""Explains why a model said what it said about a photo.

  gradcam_jax
      explains the bundled model on the sample photo: a cat, and a cup of coffee
  gradcam_jax --input_image_path dog.jpg
      explains the class that the model predicts
  gradcam_jax --input_image_path cat_dog.jpg --label "boxer,tiger cat"
      explains two classes from one forward pass; 243, boxer and n02108089 name the same class
  gradcam_jax --task vqa --input_image_path cat_dog.jpg --question "What animal?" --answer "dog, cat"
      explains answers to a question, and which of its words mattered; without --answer the predicted one
  gradcam_jax --task captioning --input_image_path cat_dog.jpg --caption "a dog and a cat"
      explains a caption word by word; without --caption the one that the model writes
  gradcam_jax --images photos/ --out_path run
      explains every photo in a folder, a glob, a list (.txt, .jsonl, .csv) or tfds:NAME/SPLIT, for any task; the
      same command goes on where it was stopped

python scripts/explain.py is the same command. Pictures go to --out_path: the map (classify_gcam_hm_243.png),
guided backpropagation (classify_gb_243.png), Guided Grad-CAM (classify_gb_gcam_243.png), the map on the photo
(classify_overlay_243.png) and all of them side by side (classify_panel_243.png); the numbers to explanation.npz
and explanation.json. An answer's are called vqa_gcam_hm_dog.png and so on, a caption's caption_gcam_hm_TEXT.png,
and caption_words_TEXT.gif walks through its words. With --images the results are shards/*.safetensors and
manifest.jsonl, one line an image.
"""

import sys
from collections.abc import Sequence

import jax
from absl import app, flags, logging

from gradcam_jax.app.layers import list_layers
from gradcam_jax.app.many_photos import explain_many
from gradcam_jax.app.one_photo import explain_one
from gradcam_jax.app.options import QUESTION, SAVE, Options
from gradcam_jax.app.start import join_processes, use_compilation_cache
from gradcam_jax.engine.prepared import TRUNK_DTYPES
from gradcam_jax.errors import InputError
from gradcam_jax.images import PREPROCESSINGS
from gradcam_jax.tasks.task import METHODS
from gradcam_jax.zoo import DEFAULTS, MODELS

_DEFAULT = Options()

flags.DEFINE_enum("task", _DEFAULT.task, list(DEFAULTS), "What the model does.")
flags.DEFINE_string(
    "model", "", f"The model: a checkpoint, or {', '.join(MODELS)}. Default: the task's own.", short_name=None
)
flags.DEFINE_alias("model_path", "model")
flags.DEFINE_string("input_image_path", "", "One photo. Default: the sample photo.")
flags.DEFINE_string(
    "images",
    "",
    "Many photos: a folder, a glob, a list (.txt; .jsonl or .csv with path and, if wanted, id, label, question, "
    "answer, caption), or tfds:NAME/SPLIT.",
)
flags.DEFINE_string(
    "label",
    "",
    "Classes to explain, comma-separated: 1-based numbers (243 = boxer), names or WordNet ids; -1 stands for the "
    "predicted ones. Default: -1; on the sample photo its two classes.",
)
flags.DEFINE_string("question", "", f"VQA: the question. Default: {QUESTION}")
flags.DEFINE_string(
    "answer",
    "",
    "VQA: answers to explain, comma-separated; -1 stands for the predicted ones. Default: -1.",
)
flags.DEFINE_string("caption", "", "Captioning: the caption to explain. Default: the generated one.")
flags.DEFINE_string("phrases", "", "Captioning, one photo: phrases of the caption to explain, comma-separated.")
flags.DEFINE_integer("top_k", _DEFAULT.top_k, "How many of the highest predictions -1 stands for.")
flags.DEFINE_integer(
    "max_targets", 0, "Many photos: targets a photo, at most. Default: as many as the flags ask for."
)
flags.DEFINE_bool("counterfactual", False, "Map what would have to go for the model to be surer.")
flags.DEFINE_bool("keep_case", False, "Captioning: leave the caption's capitals, as the original program does.")
flags.DEFINE_integer(
    "beam_size",
    _DEFAULT.beam_size,
    "Captioning: beams kept while generating; 1 is the original program's greedy choice.",
)
flags.DEFINE_float(
    "length_exponent",
    _DEFAULT.length_exponent,
    "Captioning: generated captions are ranked by log p / length^this; 0 is neuraltalk2's rule.",
)
flags.DEFINE_string(
    "layer_name",
    "",
    "The layer to map, by name or 1-based number. Default: the model's last convolution's output.",
)
flags.DEFINE_alias("layer", "layer_name")
flags.DEFINE_integer("input_sz", 0, "Side of the network's image, in pixels. Default: the model's own.")
flags.DEFINE_string("recipe", "", f"The preprocessing: {', '.join(PREPROCESSINGS)}. Default: the model's own.")
flags.DEFINE_string(
    "methods",
    "",
    f"What is computed, comma-separated, of {', '.join(METHODS)}. Default: everything of one photo, maps of many.",
)
flags.DEFINE_enum(
    "dtype", _DEFAULT.dtype, list(TRUNK_DTYPES), "Type of the trunk; head, gradients and maps are float32."
)
flags.DEFINE_string("out_path", _DEFAULT.out_path, "The folder for the pictures and numbers.")
flags.DEFINE_string("output_image_name", "", "One photo: what file names carry. Default: the target's own.")
flags.DEFINE_integer("save_as_heatmap", 1, "One photo: 1 saves the map in colour, other values in grey.")
flags.DEFINE_enum("save", _DEFAULT.save, list(SAVE), "Many photos: what is drawn besides the raw maps.")
flags.DEFINE_string("batch_size", "auto", "Many photos: how many at once; auto: what fits.")
flags.DEFINE_integer("workers", 0, "Many photos: threads that decode. Default: one a core, on CPUs half as many.")
flags.DEFINE_bool(
    "scaled_decoding", False, "Many photos: decode large JPEGs at 1/2, 1/4 or 1/8 of their size; faster."
)
flags.DEFINE_bool("retry_failed", False, "Many photos: try those that failed again.")
flags.DEFINE_integer("num_processes", 1, "Many photos: how many processes share them.")
flags.DEFINE_integer("process_id", 0, "Many photos: number of this process, from 0.")
flags.DEFINE_string("coordinator", "", "Many photos: host:port of process 0, for a TPU pod.")
flags.DEFINE_bool("cluster", False, "Many photos: take the three above from the cluster's environment.")
flags.DEFINE_bool("list_layers", False, "Print the model's layers with their shapes and numbers, and stop.")
flags.DEFINE_string("platform", "", "Where to compute: cpu, cuda or tpu. Default: the best there is.")
flags.DEFINE_bool("compilation_cache", True, "Keep compiled programs in the user's cache folder.")
flags.DEFINE_string("proto_file", "", "The original's: the CNN is part of a converted checkpoint.")
flags.DEFINE_string("model_file", "", "The original's: the CNN is part of a converted checkpoint.")

_OWN = ("batch_size", "save_as_heatmap")  # whose flags are of another type than the option
_FLAGS = flags.FLAGS


def main(arguments: Sequence[str]) -> None:
    """Turns flags into options and does what they ask."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, got {' '.join(arguments[1:])!r}. See --help.")
    logging.set_verbosity(logging.WARNING)  # JAX reports every accelerator that it did not find
    try:
        _choose_platform(_FLAGS.platform)
        if _FLAGS.compilation_cache:
            use_compilation_cache()
        options = _options()
        if _FLAGS.list_layers:
            list_layers(options, print)
        elif options.images:
            sys.exit(explain_many(options, print))
        else:
            explain_one(options, print)
    except InputError as error:
        sys.exit(f"explain.py: {error}")


def run() -> None:
    """Runs the command with the arguments of this process."""
    sys.modules["__main__"].__doc__ = __doc__  # what --help begins with
    for flag in _FLAGS.flags_by_module_dict()[__name__]:
        _FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    app.run(main)


def _options() -> Options:
    if _FLAGS.proto_file or _FLAGS.model_file:
        raise InputError(
            "--proto_file and --model_file name the CNN's files, which are read once: "
            "python scripts/convert_checkpoint.py --model vqa_vgg19 CAFFEMODEL lstm.t7 data_prepro.json, then "
            "--model vqa_vgg19."
        )
    batch_size = _FLAGS.batch_size
    if batch_size != "auto" and not (batch_size.isdigit() and int(batch_size)):
        raise InputError(f"Expected --batch_size auto or a number from 1, got {batch_size!r} instead.")
    named = {name: _FLAGS[name].value for name in vars(_DEFAULT) if name not in _OWN}
    own = {
        "batch_size": 0 if batch_size == "auto" else int(batch_size),
        "save_as_heatmap": _FLAGS.save_as_heatmap == 1,
    }
    options = Options(**named | own)
    if not options.images:
        for name in ("coordinator", "cluster"):
            if _FLAGS[name].value:
                raise InputError(f"--{name} is for many photos (--images), not for one.")
        return options
    place = join_processes(
        options.num_processes, options.process_id, _FLAGS.coordinator, from_cluster=_FLAGS.cluster
    )
    return Options(**named | own | {"process_id": place.process, "num_processes": place.processes})


def _choose_platform(name: str) -> None:
    if not name:
        return
    jax.config.update("jax_platforms", name)
    try:
        jax.devices()
    except RuntimeError as error:
        raise InputError(f"The platform {name!r} cannot be used here: {error}") from error

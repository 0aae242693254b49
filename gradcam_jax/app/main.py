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

import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from absl import app, flags, logging

from gradcam_jax.app.layers import list_layers
from gradcam_jax.app.many_photos import explain_many
from gradcam_jax.app.one_photo import explain_one
from gradcam_jax.app.options import Options, require_meaning
from gradcam_jax.app.start import (
    garbage_kept,
    join_processes,
    profiled,
    say,
    speak_any_language,
    use_compilation_cache,
)
from gradcam_jax.errors import InputError

_FLAGS = flags.FLAGS
_DEFINE = {str: flags.DEFINE_string, int: flags.DEFINE_integer, float: flags.DEFINE_float, bool: flags.DEFINE_bool}
_AUTO = "auto"


def _scopes(field: dataclasses.Field) -> list[str]:
    """Returns what an option is for, where it is not for everything."""
    return [scope for scope in (", ".join(field.metadata["tasks"]), field.metadata["photos"]) if scope]


for _field in dataclasses.fields(Options):
    _default: Any = _field.default
    _help = "".join(f"{scope}: " for scope in _scopes(_field)) + _field.metadata["help"]
    if _field.name == "batch_size":
        flags.DEFINE_string("batch_size", _AUTO, _help)
    elif _field.name == "save_as_heatmap":
        flags.DEFINE_integer("save_as_heatmap", 1, _help)
    elif _field.metadata["values"]:
        flags.DEFINE_enum(_field.name, _default, list(_field.metadata["values"]), _help)
    else:
        _DEFINE[type(_default)](_field.name, _default, _help)
flags.DEFINE_alias("model_path", "model")
flags.DEFINE_alias("layer", "layer_name")
flags.DEFINE_string("coordinator", "", "many photos: host:port of process 0, for a TPU pod.")
flags.DEFINE_bool(
    "cluster",
    False,
    "many photos: take --coordinator, --num_processes and --process_id from the cluster's environment.",
)
flags.DEFINE_bool("list_layers", False, "Print the model's layers with their shapes and numbers, and stop.")
flags.DEFINE_string("platform", "", "Where to compute: cpu, cuda or tpu. Default: the best there is.")
flags.DEFINE_bool("compilation_cache", True, "Keep compiled programs in the user's cache folder.")
flags.DEFINE_string("profile", "", "Write a profile, for ui.perfetto.dev or XProf, to this folder.")
flags.DEFINE_string("proto_file", "", "The original's: the CNN is part of a converted checkpoint.")
flags.DEFINE_string("model_file", "", "The original's: the CNN is part of a converted checkpoint.")


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
            list_layers(options, say)
        elif options.images:
            with profiled(_FLAGS.profile):
                code = explain_many(options, say)
            sys.exit(code)
        else:
            with garbage_kept(), profiled(_FLAGS.profile):
                explain_one(options, say)
    except InputError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")


def run() -> None:
    """Runs the command with the arguments of this process."""
    speak_any_language()
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
    values: dict[str, Any] = {field.name: _FLAGS[field.name].value for field in dataclasses.fields(Options)}
    size = values["batch_size"]
    if size != _AUTO and not (size.isdigit() and int(size)):
        raise InputError(f"Expected --batch_size auto or a number from 1, got {size!r} instead.")
    values["batch_size"] = 0 if size == _AUTO else int(size)
    for name in ("out_path", "input_image_path", "images", "model"):
        values[name] = os.path.expanduser(values[name])
    values["save_as_heatmap"] = values["save_as_heatmap"] == 1
    options = Options(**values)
    for name in ("coordinator", "cluster"):
        if _FLAGS[name].value:
            require_meaning(name, (), "many photos", options)
    if not options.images:
        return options
    place = join_processes(
        options.num_processes, options.process_id, _FLAGS.coordinator, from_cluster=_FLAGS.cluster
    )
    return dataclasses.replace(options, process_id=place.process, num_processes=place.processes)


def _choose_platform(name: str) -> None:
    if not name:
        return
    jax.config.update("jax_platforms", name)
    try:
        jax.devices()
    except RuntimeError as error:
        raise InputError(f"The platform {name!r} cannot be used here: {error}") from error

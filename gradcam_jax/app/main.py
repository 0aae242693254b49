"""Explains why a model said what it said about a photo.

  gradcam_jax
      explains the bundled model on the sample photo: a cat, and a cup of coffee
  gradcam_jax photo.jpg
      explains the class that the model predicts
  gradcam_jax photo.jpg --label "boxer,tiger cat"
      explains two classes from one forward pass; 243, boxer and n02108089 name the same class
  gradcam_jax photo.jpg --task vqa --question "What animal?" --answer "dog, cat"
      explains answers to a question, and which of its words mattered; without --answer the predicted one
  gradcam_jax photo.jpg --task captioning --caption "a dog and a cat"
      explains a caption word by word; without --caption the one that the model writes
  gradcam_jax photo.jpg --model my_models:make --checkpoint FOLDER_OR_FILE --labels names.txt
      explains a classifier of your own, which the function make of my_models.py returns
  gradcam_jax photos/ --out_path run
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
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
from absl import app, flags, logging

from gradcam_jax.app.answers import list_answers
from gradcam_jax.app.help import FULL, help_text, wanted_help
from gradcam_jax.app.layers import list_layers
from gradcam_jax.app.many_machines import explain_on_cluster
from gradcam_jax.app.many_photos import explain_many
from gradcam_jax.app.one_photo import explain_one
from gradcam_jax.app.options import Options, require_meaning
from gradcam_jax.app.original_flags import WITHOUT_MEANING, model_of_files, notes
from gradcam_jax.app.start import (
    garbage_kept,
    join_processes,
    profiled,
    say,
    speak_any_language,
    use_compilation_cache,
)
from gradcam_jax.errors import InputError
from gradcam_jax.pipeline.items import names_many

_FLAGS = flags.FLAGS
_DEFINE = {str: flags.DEFINE_string, int: flags.DEFINE_integer, float: flags.DEFINE_float, bool: flags.DEFINE_bool}
_AUTO = "auto"
_CURES = {
    "cpu": "Leave the flag out.",
    "cuda": "It needs an NVIDIA GPU with its driver, and JAX for it:  pip install 'jax[cuda12]'",
    "tpu": "It needs a TPU, and JAX for it:  pip install 'jax[tpu]'",
}


_GROUPS: dict[str, list[str]] = {
    "The photo, the model and its map": [],
    "Classification": [],
    "Visual question answering (--task vqa)": [],
    "Captioning (--task captioning)": [],
    "Many photos": [],
    "This machine, and what there is": [],
    "The original program's": [],
}
_ANY, _CLASSIFICATION, _VQA, _CAPTIONING, _MANY, _MACHINE, _ORIGINAL = _GROUPS
_TASKS = {"classification": _CLASSIFICATION, "vqa": _VQA, "captioning": _CAPTIONING}
"""The groups that --help shows, and the flags in each."""


def _groups_of(field: dataclasses.Field) -> list[str]:
    if field.name == "images" or field.metadata["photos"] == "many photos":
        return [_MANY]
    return [_TASKS[task] for task in field.metadata["tasks"]] or [_ANY]


def _other(define: Callable[..., Any], group: str, name: str, *arguments: Any) -> None:
    """Defines a flag that is no option."""
    _GROUPS[group].append(name)
    define(name, *arguments)


for _field in dataclasses.fields(Options):
    for _group in _groups_of(_field):
        _GROUPS[_group].append(_field.name)
    _default: Any = _field.default
    _help = f"{'one photo: ' * (_field.metadata['photos'] == 'one photo')}{_field.metadata['help']}"
    if _field.name == "batch_size":
        flags.DEFINE_string("batch_size", _AUTO, _help)
    elif _field.name == "save_as_heatmap":
        flags.DEFINE_integer("save_as_heatmap", 1, _help)
    elif _field.metadata["values"]:
        flags.DEFINE_enum(_field.name, _default, list(_field.metadata["values"]), _help)
    else:
        _DEFINE[type(_default)](_field.name, _default, _help)
_other(flags.DEFINE_string, _MANY, "coordinator", "", "Host:port of process 0, for a TPU pod.")
_other(
    flags.DEFINE_bool,
    _MANY,
    "cluster",
    False,
    "Take --coordinator, --num_processes and --process_id from the cluster's environment.",
)
_other(
    flags.DEFINE_bool,
    _MACHINE,
    "list_layers",
    False,
    "Print the model's layers with their shapes and numbers, the default marked, and stop.",
)
_other(flags.DEFINE_bool, _MACHINE, "list_answers", False, "Print the answers that a VQA model knows, and stop.")
_other(
    flags.DEFINE_string,
    _MACHINE,
    "platform",
    "",
    "Where to compute: cpu, cuda or tpu. Default: the best there is.",
)
_other(
    flags.DEFINE_bool, _MACHINE, "compilation_cache", True, "Keep compiled programs in the user's cache folder."
)
_other(
    flags.DEFINE_string, _MACHINE, "profile", "", "Write a profile, for ui.perfetto.dev or XProf, to this folder."
)
_other(flags.DEFINE_alias, _ORIGINAL, "model_path", "model")
_other(flags.DEFINE_alias, _ORIGINAL, "layer", "layer_name")
_other(
    flags.DEFINE_string,
    _ORIGINAL,
    "model_file",
    "",
    "The CNN's published Caffe file: it stands for the model made of it.",
)
for _name, _why in WITHOUT_MEANING.items():
    _other(flags.DEFINE_string, _ORIGINAL, _name, None, f"Taken, and changes nothing: {_why}")


def main(arguments: Sequence[str]) -> None:
    """Turns flags into options and does what they ask."""
    logging.set_verbosity(logging.WARNING)  # JAX reports every accelerator that it did not find
    try:
        photo = _photo_of(arguments[1:])
        _choose_platform(_FLAGS.platform)
        if _FLAGS.compilation_cache:
            use_compilation_cache()
        options = _options(photo)
        for line in notes([name for name in WITHOUT_MEANING if _FLAGS[name].value is not None]):
            say(line)
        if _FLAGS.list_layers:
            list_layers(options, say)
        elif _FLAGS.list_answers:
            list_answers(options, say)
        elif options.images:
            with profiled(_FLAGS.profile):
                code = (explain_on_cluster if options.ray else explain_many)(options, say)
            sys.exit(code)
        else:
            with garbage_kept(), profiled(_FLAGS.profile):
                explain_one(options, say)
    except InputError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")


def run() -> None:
    """Runs the command with the arguments of this process."""
    speak_any_language()
    wanted = wanted_help(sys.argv[1:])
    if wanted:
        say(help_text(__doc__ or "", _GROUPS, _FLAGS, full=wanted == FULL))
        return
    warnings.showwarning = _say_warning
    app.run(main)


def _say_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Shows a warning as a line, without the line of the source that it comes from."""
    print(f"note: {message}", file=sys.stderr)


def _photo_of(arguments: Sequence[str]) -> str:
    """Returns the photo, folder, glob or list that stands without a flag, or nothing."""
    if len(arguments) > 1:
        raise InputError(
            f"Expected one photo, folder, glob or list, got {len(arguments)}: {' '.join(arguments[:3])!r}"
            f"{' ...' * (len(arguments) > 3)}. Many photos are a folder, or a glob in quotes:  'photos/*.jpg'"
        )
    photo = next(iter(arguments), "")
    for name in ("input_image_path", "images"):
        if photo and _FLAGS[name].value:
            raise InputError(f"Expected one source of photos, got {photo!r} and --{name} {_FLAGS[name].value}.")
    return photo


def _options(photo: str) -> Options:
    values: dict[str, Any] = {field.name: _FLAGS[field.name].value for field in dataclasses.fields(Options)}
    if photo:
        values["images" if names_many(photo) else "input_image_path"] = photo
    values["model"] = model_of_files(values["task"], values["model"], _FLAGS.model_file)
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
    if name:
        jax.config.update("jax_platforms", name)
    name = name or os.environ.get("JAX_PLATFORMS", "")
    if not name:
        return
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # an AssertionError where JAX is not built for it
        cure = _CURES.get(name, f"Expected --platform {', '.join(_CURES)}.")
        reason = f" ({str(error).splitlines()[0]})" if str(error) else ""
        raise InputError(f"The platform {name!r} cannot be used here{reason}. {cure}") from error

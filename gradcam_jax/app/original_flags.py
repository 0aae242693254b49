"""The original program's flags that say nothing here: each is taken, and a line says why it changes nothing."""

import os
from collections.abc import Iterator, Mapping, Sequence

from gradcam_jax.errors import InputError
from gradcam_jax.zoo import MODELS
from gradcam_jax.zoo.places import weights_path

_SIZES = "a checkpoint's own sizes are read from it."

WITHOUT_MEANING: Mapping[str, str] = {
    "gpuid": "JAX computes on the best device there is; --platform cpu, cuda or tpu names another.",
    "backend": "JAX compiles the model for each device itself.",
    "seed": "nothing is drawn by chance.",
    "input_encoding_size": _SIZES,
    "rnn_size": _SIZES,
    "rnn_layers": _SIZES,
    "common_embedding_size": _SIZES,
    "num_output": _SIZES,
    "proto_file": "the layers are the model's own.",
}
"""Flag -> why it changes nothing."""

_FILES: Mapping[str, Mapping[str, str]] = {
    "VGG_ILSVRC_16_layers.caffemodel": {"classification": "vgg16"},
    "VGG_ILSVRC_19_layers.caffemodel": {"classification": "vgg19", "vqa": "vqa_vgg19"},
    "bvlc_alexnet.caffemodel": {"classification": "alexnet"},
    "lstm.t7": {"vqa": "vqa_vgg19"},
    "model_id1-501-1448236541.t7": {"captioning": "captioner_vgg16"},
    "model_id1-501-1448236541.t7_cpu.t7": {"captioning": "captioner_vgg16"},
}
"""The files that the original program reads -> for each task the model that is made from them."""


def notes(given: Sequence[str]) -> Iterator[str]:
    """Yields a line for each flag that was given and changes nothing."""
    for name in given:
        yield f"--{name} changes nothing: {WITHOUT_MEANING[name]}"


def model_of_files(task: str, model: str, model_file: str = "") -> str:
    """Returns the model that the original's files stand for.

    Args:
        task: The task.
        model: What ``--model`` or ``--model_path`` names.
        model_file: What ``--model_file`` names, the CNN's Caffe file, or empty.

    Returns:
        The model's name; its file's, where that is here and the converted model is not (loading it says how to
        convert it); what ``model`` is, where it is none of the original's files.

    Raises:
        InputError: If ``model_file`` is not a file that a model of the task is made from, or is another model's.

    Example:
        >>> model_of_files("captioning", "neuraltalk2/model_id1-501-1448236541.t7")
        'captioner_vgg16'
    """
    named = _model_of(task, model)
    if not model_file:
        return model if named is None else _here_or_file(named, model)
    made = _model_of(task, model_file)
    if made is None:
        files = ", ".join(file for file, models in _FILES.items() if task in models)
        raise InputError(
            f"Expected --model_file {files or 'only with classification and vqa'}, got {model_file!r} instead. A "
            f"file of your own is converted once: python scripts/convert_checkpoint.py --model MODEL {model_file}"
        )
    if model and made not in (model, named):
        raise InputError(f"--model_file {model_file} belongs to {made}, not to --model {model}.")
    return _here_or_file(made, model_file)


def _model_of(task: str, file: str) -> str | None:
    return _FILES.get(os.path.basename(file), {}).get(task)


def _here_or_file(name: str, file: str) -> str:
    return file if weights_path(MODELS[name]) is None and os.path.isfile(file) else name

"""A VQA model with all that goes with it: words, answers, the CNN it looks through, its card. One file holds it.

The file is a safetensors file of the head's parameters; its metadata holds, as JSON, the vocabularies, the
sizes, and the zoo's name of the frozen CNN, whose weights are read from where that entry's are.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from gradcam_jax import zoo
from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.errors import CheckpointError, InputError
from gradcam_jax.models.vqa import VQA
from gradcam_jax.preprocessing import Recipe
from gradcam_jax.text import MAX_QUESTION_TOKENS, Vocabulary

_METADATA = "vqa"
_SIZES = ("embedding", "hidden", "common")


@dataclasses.dataclass(frozen=True)
class QuestionModel:
    """Everything needed to answer a question about a photo.

    Attributes:
        name: What it is called.
        model: The model.
        variables: Its variables, the CNN's included.
        words: The question's vocabulary.
        answers: The answers, by index.
        layer: The layer that is mapped unless another is named.
        recipe: Its CNN's preprocessing.
        size: Side of the image that it is explained at, in pixels.
        card: What it was trained on and how well it does.
    """

    name: str
    model: VQA
    variables: Mapping[str, Any]
    words: Vocabulary
    answers: Vocabulary
    layer: str
    recipe: Recipe
    size: int
    card: Mapping[str, Any]


def load_question_model(name: str) -> QuestionModel:
    """Reads a model of the zoo by its name, or any model by its file.

    Args:
        name: Such as ``"vqa_lite0"``, or the path of a file that :func:`write_question_model` wrote.

    Raises:
        InputError: If there is no such model or file, or the model is for another task.
        CheckpointError: If the file is not of such a model.
    """
    if name not in zoo.ZOO and (name.endswith(".safetensors") or Path(name).is_file()):
        if not Path(name).is_file():
            raise InputError(f"Expected a VQA checkpoint, but {name!r} does not exist.")
        return read_question_model(Path(name))
    entry = zoo.find_entry(name)
    if entry.task != "vqa":
        fitting = ", ".join(other.name for other in zoo.ZOO.values() if other.task == "vqa")
        raise InputError(f"{name} is a model for {entry.task}. For questions there are: {fitting}.")
    path = zoo.weights_path(entry)
    if path is None:
        raise InputError(f"The weights of {entry.name} are not here. Get them with:  {zoo.get_command(entry)}")
    return read_question_model(path)


def read_question_model(path: Path) -> QuestionModel:
    """Reads a model's file, and its CNN's weights from where the zoo has them."""
    settings = _settings(path)
    entry = zoo.find_entry(settings["cnn"])
    words, answers = Vocabulary(settings["words"]), Vocabulary(settings["answers"])
    sizes = {name: settings[name] for name in _SIZES}
    model = VQA(cnn=entry.build(classes=None), words=len(words), answers=len(answers), **sizes)
    ids = jax.ShapeDtypeStruct((MAX_QUESTION_TOKENS,), jnp.int32)
    expected = variable_shapes(model, zoo.example_image(entry), ids, jax.ShapeDtypeStruct((), jnp.int32))
    variables = zoo.with_cnn(path, entry.name, expected)
    layer, size = f"cnn/{settings['layer']}", settings["size"]
    return QuestionModel(path.stem, model, variables, words, answers, layer, entry.recipe, size, settings["card"])


def write_question_model(
    path: Path,
    params: Mapping[str, Any],
    words: Vocabulary,
    answers: Vocabulary,
    *,
    cnn: str,
    layer: str,
    size: int,
    card: Mapping[str, Any],
    dtype: type = np.float32,
) -> Path:
    """Writes a model's file.

    Args:
        path: The file, ``NAME.safetensors``; replaced whole.
        params: The head's parameters; the CNN's, if there, are left out.
        words: The question's vocabulary.
        answers: The answers.
        cnn: The zoo's name of the CNN.
        layer: The CNN's layer that is mapped by default.
        size: Side of the image that it is explained at, in pixels.
        card: What is to be known of it.
        dtype: What the numbers are kept in; they are always read as float32.
    """
    head = {name: part for name, part in params.items() if name != "cnn"}
    flat = flax.traverse_util.flatten_dict({"params": head}, sep="/")
    sizes = {
        "embedding": head["word_embedding"]["kernel"].shape[1],
        "hidden": head["lstm_1"]["h2h"]["kernel"].shape[0],
        "common": head["classifier"]["kernel"].shape[0],
    }
    settings = {"cnn": cnn, "layer": layer, "size": size, **sizes, "card": dict(card)}
    settings |= {"words": words.entries, "answers": answers.entries}
    arrays = {key: np.ascontiguousarray(np.asarray(array).astype(dtype)) for key, array in flat.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    safetensors.numpy.save_file(arrays, temporary, metadata={_METADATA: json.dumps(settings, ensure_ascii=False)})
    os.replace(temporary, path)
    return path


def _settings(path: Path) -> dict[str, Any]:
    try:
        with safetensors.safe_open(path, framework="numpy") as opened:
            metadata = opened.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read as safetensors: {error}") from error
    if _METADATA not in metadata:
        raise CheckpointError(
            f"{str(path)!r} holds weights but no vocabularies: it is not a VQA model of this project."
        )
    try:
        settings = json.loads(metadata[_METADATA])
    except ValueError as error:
        raise CheckpointError(f"{str(path)!r}: its description is not JSON: {error}.") from error
    missing = [key for key in ("cnn", "layer", "size", *_SIZES, "words", "answers", "card") if key not in settings]
    if missing:
        raise CheckpointError(f"{str(path)!r}: its description lacks {', '.join(missing)}.")
    return settings

"""Which model knows an answer, for the message that another does not."""

from gradcam_jax.errors import InputError
from gradcam_jax.text.vocabulary import Vocabulary
from gradcam_jax.zoo.checkpoint import read_card
from gradcam_jax.zoo.loading import Loaded
from gradcam_jax.zoo.places import get_command, weights_path
from gradcam_jax.zoo.table import MODELS

_ORIGINAL = "vqa_vgg19"


def find_answer(loaded: Loaded, text: str) -> int:
    """Returns the index of an answer as a user writes it.

    Raises:
        InputError: If the model does not know it; the nearest answers, and the models that know it, are named.

    Example:
        >>> from gradcam_jax.zoo import load
        >>> find_answer(load("vqa_easy"), " Green")
        1
    """
    try:
        return loaded.labels.find(text)
    except InputError as error:
        known = [f"--model {name}" for name in models_that_know(text) if name != loaded.name]
        if known:
            cure = f" {' or '.join(known)} knows it."
        elif loaded.name != _ORIGINAL and weights_path(MODELS[_ORIGINAL]) is None:
            cure = f" The original's model, {_ORIGINAL}, knows 1,000 answers:  {get_command(MODELS[_ORIGINAL])}"
        else:
            cure = ""
        raise InputError(f"{error} All of them:  --list_answers.{cure}") from None


def models_that_know(answer: str) -> list[str]:
    """Returns the names of the VQA models on this machine among whose answers this one is."""
    names = []
    for entry in MODELS.values():
        path = weights_path(entry) if entry.task == "vqa" else None
        if path is None:
            continue
        try:
            Vocabulary(read_card(path).labels).find(answer)
        except InputError:
            continue
        names.append(entry.name)
    return names

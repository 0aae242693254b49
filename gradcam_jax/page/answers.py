"""What the page's server answers, without a word of HTTP: a path and its parameters in, a file out."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gradcam_jax.errors import InputError, lookup
from gradcam_jax.page.description import described
from gradcam_jax.page.examples import example_names, example_photo
from gradcam_jax.page.explaining import Choice, Explainer
from gradcam_jax.page.files import File, file_of, photo_file
from gradcam_jax.page.visits import ForgottenError, Limits, Visits, read_upload
from gradcam_jax.zoo import Loaded

Parameters = Mapping[str, str]

_ASKED = ("label", "question", "answer", "caption")
_LONGEST_TEXT = 400
_THUMBNAIL = 160


class Answers:
    """Everything that the page asks for.

    Attributes:
        limits: What is taken from a visitor.
        visits: The photos that are kept.
        explainer: What computes.
    """

    def __init__(self, limits: Limits, own: Sequence[Loaded] = ()) -> None:
        """Begins with no visitor; ``own`` are models that are offered besides the zoo's."""
        self.limits, self.visits, self.explainer = limits, Visits(limits), Explainer(limits.at_once, own)

    def read(self, parts: list[str], parameters: Parameters) -> File | None:
        """Returns what is at a path below ``/api/``, or None where nothing is.

        Raises:
            InputError: If something that was asked for cannot be had.
        """
        match parts:
            case ["offers"]:
                limits = {"bytes": self.limits.photo_bytes, "pixels": self.limits.photo_pixels}
                return _json({**self.explainer.offers(), "examples": example_names(), "limits": limits})
            case ["layers"]:
                size = _integer(parameters, "size")
                return _json(self.explainer.layers(parameters.get("task", ""), parameters.get("model", ""), size))
            case ["names"]:
                return _json(self.explainer.names(parameters.get("task", ""), parameters.get("model", "")))
            case ["examples", name]:
                return photo_file(example_photo(name), _THUMBNAIL)
            case ["photos", name, "photo"]:
                return photo_file(self.visits.get(name).photo)
            case ["photos", name, explanation, kind]:
                visit = self.visits.get(name)
                shown = visit.shown.get(explanation)
                if shown is None:
                    raise ForgottenError("This explanation is not kept any more. Ask once more.")
                return file_of(
                    shown,
                    kind,
                    row=_integer(parameters, "row"),
                    opacity=_number(parameters, "opacity", 0.75),
                    shared=parameters.get("shared") == "1",
                )
        return None

    def write(self, parts: list[str], parameters: Parameters, content: bytes) -> File | None:
        """Takes what is sent to a path below ``/api/`` and returns the answer, or None where nothing is taken.

        Raises:
            InputError: If what was sent cannot be used.
        """
        match parts:
            case ["photos"]:
                return self._begin(read_upload(content, parameters.get("name", ""), self.limits))
            case ["examples", name]:
                return self._begin(example_photo(name))
            case ["photos", name, "explain"]:
                choice, request = _asked(content)
                return _json(described(self.explainer.explain(self.visits.get(name), choice, request)))
            case ["photos", name, "forget"]:
                self.visits.end(name)
                return _json({})
        return None

    def _begin(self, photo: Any) -> File:
        return _json({"photo": self.visits.begin(photo), "height": photo.shape[0], "width": photo.shape[1]})


def sentence_of(error: InputError) -> str:
    """Returns an error as a visitor reads it: without what it says of the command line's flags.

    Example:
        >>> sentence_of(InputError("'dgo' is no answer. Nearest: dog. All of them:  --list_answers."))
        "'dgo' is no answer. Nearest: dog."
    """
    sentences = re.split(r"(?<=[.!?]) +", str(error))
    return " ".join(sentence for sentence in sentences if "--" not in sentence) or str(error)


def _asked(content: bytes) -> tuple[Choice, dict[str, str]]:
    try:
        asked = json.loads(content)
        choice = Choice(
            str(asked["task"]),
            str(asked.get("model", "")),
            str(asked.get("layer", "")),
            int(asked.get("size", 0)),
            str(asked.get("method", "grad_cam")),
        )
        request = {name: str(asked[name]) for name in _ASKED if asked.get(name)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError("Expected a JSON object with a task, and what is asked.") from error
    for name, text in request.items():
        if len(text) > _LONGEST_TEXT:
            raise InputError(f"Expected a {name} of at most {_LONGEST_TEXT} letters, got {len(text)}.")
    lookup(dict.fromkeys(("classification", "vqa", "captioning")), choice.task, "task")
    return choice, request


def _integer(parameters: Parameters, name: str) -> int:
    text = parameters.get(name) or "0"
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise InputError(f"Expected a whole {name}, got {text[:20]!r} instead.")
    return int(text)


def _number(parameters: Parameters, name: str, default: float) -> float:
    try:
        return float(parameters.get(name) or default)
    except ValueError as error:
        raise InputError(f"Expected a number for {name}, got {parameters[name][:20]!r} instead.") from error


def _json(value: Any) -> File:
    return File(json.dumps(value).encode(), "application/json", "answer.json")

"""What is said of an explained photo: a row a target, for terminals, JSON files and pictures alike."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


def percent(probability: float, decimals: int = 1) -> str:
    """Returns a probability for people, ``"93.1%"``; of one that would be all zeros its first digit, ``"0.03%"``.

    Example:
        >>> percent(0.931), percent(0.931, 0), percent(0.004, 0), percent(0.0003)
        ('93.1%', '93%', '0.4%', '0.03%')
    """
    if probability < 1e-6:
        return "under 0.0001%"
    small = probability < 10 ** -(2 + decimals)
    return f"{100 * probability:.1g}%" if small else f"{probability:.{decimals}%}"


class Row(NamedTuple):
    """One explained target of one photo.

    Attributes:
        name: What was explained, for people: ``"boxer"``, an answer, a caption, a word of it.
        file_name: What the files of its pictures carry: ``"243"``, ``"dog"``.
        title: The line over its pictures.
        score: The target's score: a logit, or a sum of words' log-probabilities, at a temperature or not.
        cam: Signed map at the layer's resolution, ``(h, w)`` float32, not normalised.
        fields: What else is known of it, as plain JSON values.
        guided_backprop: Guided gradient at the pixels, ``(H, W, 3)`` RGB, or None if it was not computed.
        guided_grad_cam: Its product with the map, ``(H, W, 3)`` RGB, or None.
        maps: Maps by other methods than Grad-CAM, by the method's name: signed, each at its own resolution.
        tokens: The question's words with what each has to do with this target, signed; empty without a question.
    """

    name: str
    file_name: str
    title: str
    score: float
    cam: np.ndarray
    fields: Mapping[str, Any] = {}
    guided_backprop: np.ndarray | None = None
    guided_grad_cam: np.ndarray | None = None
    maps: Mapping[str, np.ndarray] = {}
    tokens: Sequence[tuple[str, float]] = ()

    @property
    def all_negative(self) -> bool:
        """Whether no position speaks for the target: its picture is blank."""
        return not self.cam.max() > 0

    @property
    def log_prob(self) -> float:
        """The log-probability of a caption or word: the score, unless ``fields`` say that it is another."""
        return self.fields.get("log_prob", self.score)

    @property
    def map_fields(self) -> dict[str, Any]:
        """What is known of the maps by other methods, as plain JSON values; nothing where there are none."""
        maps = {name: {"all_negative": not cam.max() > 0} for name, cam in self.maps.items()}
        return {"maps": maps} if maps else {}


class Description(NamedTuple):
    """Everything that is said of one photo.

    Attributes:
        heading: The line over all its pictures: ``"Why boxer?"``, the question, the caption asked about.
        prediction: What the model itself says, for people.
        rows: The explained targets, in the order asked for.
        words: A caption's words in order, each with its own map; empty for other tasks.
        phrases: Phrases of the caption that were asked for, each with its own map.
        lines: What a terminal shows, in order.
        fields: What else is known of the photo, as plain JSON values.
    """

    heading: str
    prediction: str
    rows: Sequence[Row]
    words: Sequence[Row] = ()
    phrases: Sequence[Row] = ()
    lines: Sequence[str] = ()
    fields: Mapping[str, Any] = {}

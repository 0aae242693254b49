"""A model with its weights, of the zoo or of one's own: what everything that explains takes."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.interception import modules
from gradcam_jax.interception.tapped import Tapped
from gradcam_jax.models.captioner import MAX_WORDS
from gradcam_jax.text.questions import MAX_QUESTION_TOKENS
from gradcam_jax.text.vocabulary import Vocabulary
from gradcam_jax.zoo.checkpoint import Card
from gradcam_jax.zoo.entries import Entry

_SAMPLED = 4096  # numbers of an array that stand for it in a digest


def distinct(labels: Sequence[str]) -> list[str]:
    """Returns labels of which those of one name carry their numbers.

    Example:
        >>> distinct(["crane", "tench", "crane"])
        ['crane (1)', 'tench', 'crane (3)']
    """
    counts = Counter(labels)
    return [label if counts[label] == 1 else f"{label} ({number})" for number, label in enumerate(labels, 1)]


class Loaded(NamedTuple):
    """A model with its weights.

    Attributes:
        entry: What the zoo knows of it.
        model: The Linen module; of one's own also an NNX module or a :class:`gradcam_jax.Tapped`.
        variables: Its variables, float32 numpy arrays; an NNX module and a ``Tapped`` have theirs in themselves.
        labels: Its classes or answers, by index; empty for a captioner. Classes of one name carry their numbers,
            ``"crane (135)"``.
        words: The words of its questions or captions, by index; empty for a classifier.
        card: Its checkpoint's card, or None where a package carries the weights.
        statistics: What its checkpoint holds beside the variables: ``"mean_features"``, the mean of the CNN's
            features over the training photos.
        options: What the module is called with besides its inputs: ``{"train": False}``.
        source: The checkpoint that the caller named, or the model function; empty for the zoo's own.
        notes: What was chosen where nothing was said, and what was done to names, a line each.
    """

    entry: Entry
    model: Any
    variables: dict[str, Any]
    labels: Vocabulary
    words: Vocabulary
    card: Card | None
    statistics: Mapping[str, np.ndarray]
    options: Mapping[str, Any] = {}
    source: str = ""
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The model's name."""
        return self.entry.name

    def tapped(self, layers: str = "", **options: Any) -> Tapped:
        """Returns the model tapped at layers, whatever kind of model it is.

        Args:
            layers: Their names; empty: none.
            **options: What it is called with besides :attr:`options`, such as ``method``.
        """
        names, options = layers or (), {**self.options, **options}
        if isinstance(self.model, Tapped):
            return self.model.at(names)
        if self.variables:
            return modules.tapped(self.model, self.variables, names, **options)
        return modules.tapped(self.model, names, **options)

    def digest(self) -> str:
        """Returns 16 hex digits that stand for weights and labels: models of one architecture are told apart.

        Of large arrays a sample of numbers is read. Weights that plain functions close over are not seen.
        """
        digest = hashlib.sha256("\n".join(self.labels.entries).encode())
        variables = self.variables or self.tapped().variables
        for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
            if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                continue
            numbers = np.asarray(leaf).reshape(-1)
            digest.update(f"{jax.tree_util.keystr(path)} {leaf.shape} {leaf.dtype}".encode())
            digest.update(np.ascontiguousarray(numbers[:: max(numbers.size // _SAMPLED, 1)]).tobytes())
        return digest.hexdigest()[:16]


def example_inputs(entry: Entry, size: int | None = None) -> tuple[jax.ShapeDtypeStruct, ...]:
    """Returns the shapes of one example of a model's inputs, its image of this side in pixels or of the entry's.

    The image; for VQA also the question's word indices and its length; for captioning also the caption's words.
    """
    side = size or entry.size
    text = {
        "classification": (),
        "vqa": (jax.ShapeDtypeStruct((MAX_QUESTION_TOKENS,), jnp.int32), jax.ShapeDtypeStruct((), jnp.int32)),
        "captioning": (jax.ShapeDtypeStruct((MAX_WORDS,), jnp.int32),),
    }
    return jax.ShapeDtypeStruct((side, side, 3), jnp.float32), *text[entry.task]

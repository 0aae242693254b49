"""Targets that are entries of a model's vector of scores: classes, and answers.

On the device a target that is asked for is an index; a prediction that is asked for is ``-1 - rank``; a place
without a target is :data:`EMPTY`. What is kept of a photo holds indices alone, and -2 where there is no target.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.engine.core import Parts
from gradcam_jax.errors import InputError
from gradcam_jax.tasks.methods import GUIDED

PREDICTED = "-1"
"""What a user writes for the model's own predictions."""

NOTHING = -2
"""The index of a place without a target, among the results."""

EMPTY = -(2**20)
"""The same, among what is asked for."""

SHOWN_PREDICTIONS = 5

SCALE = "_scale"
"""What the name of float16 gradients' scale ends in: ``guided_backprop_scale``, one number a target."""


def encode_targets(
    text: str, top_k: int, index_of: Callable[[str], int], *, places: int = 0, what: str = "labels"
) -> np.ndarray:
    """Reads a comma-separated list of targets into the numbers that :func:`choose_indices` takes.

    Args:
        text: Their names; -1, or nothing, stands for the ``top_k`` highest predictions.
        top_k: How many predictions -1 stands for.
        index_of: From a name to its index; raises InputError.
        places: Number of targets of every photo; 0: as many as this text names. Fewer are filled up.
        what: What they are, for the message.

    Returns:
        ``(places,)`` int32.

    Raises:
        InputError: If there are more targets than places.

    Example:
        >>> encode_targets("b, -1", 2, "abc".index, places=4).tolist()
        [1, -1, -2, -1048576]
    """
    if text.strip() and not _parts(text):
        raise InputError(f"Expected {what}, comma-separated, or -1 for the predicted ones, got {text!r} instead.")
    numbers: list[int] = []
    for part in _parts(text) or [PREDICTED]:
        numbers += [-1 - rank for rank in range(top_k)] if part == PREDICTED else [index_of(part)]
    places = places or len(numbers)
    if len(numbers) > places:
        raise InputError(
            f"Expected at most {places} {what} a photo, got {len(numbers)} ({text!r}). "
            f"Ask for more:  --max_targets {len(numbers)}"
        )
    return np.array(numbers + [EMPTY] * (places - len(numbers)), np.int32)


def count_targets(text: str, top_k: int) -> int:
    """Returns how many targets a comma-separated list stands for."""
    parts = _parts(text) or [PREDICTED]
    return sum(top_k if part == PREDICTED else 1 for part in parts)


def require_top_k(text: str, top_k: int, count: int, *, what: str) -> None:
    """Raises InputError unless so many predictions can be explained, and are asked for where there are several.

    Args:
        text: The targets' names, as for :func:`encode_targets`.
        top_k: How many predictions.
        count: How many there are.
        what: What the targets are called on the command line.
    """
    if not 1 <= top_k <= count:
        raise InputError(f"Expected --top_k from 1 to {count}, got {top_k} instead.")
    if top_k > 1 and _parts(text) and PREDICTED not in _parts(text):
        raise InputError(f"--top_k {top_k} needs -1, the predictions, among --{what}, got {text!r} instead.")


def choose_indices(scores: jax.Array, targets: jax.Array) -> jax.Array:
    """Returns the indices explained, each once.

    Args:
        scores: The model's, ``(entries,)``.
        targets: From :func:`encode_targets`, ``(places,)`` int32.

    Returns:
        ``(places,)`` int32; -2 where there is no target, or one that stands before already, as a name and as a
        prediction.
    """
    places = min(targets.shape[0], scores.shape[0])
    highest = jax.lax.top_k(scores, places)[1].astype(jnp.int32)
    ranked = highest[jnp.clip(-1 - targets, 0, places - 1)]
    indices = jnp.where(targets >= 0, targets, jnp.where(targets > EMPTY, ranked, NOTHING))
    same = indices[:, jnp.newaxis] == indices[jnp.newaxis, :]
    repeated = jnp.any(jnp.tril(same, -1), axis=1)
    return jnp.where(repeated, NOTHING, indices)


def summarise_indices(parts: Parts) -> dict[str, jax.Array]:
    """Returns what is kept of a batch whose targets are indices.

    Args:
        parts: The engine's; ``outputs`` are scores, ``(n, entries)``.

    Returns:
        ``cam`` and the other maps; ``targets``, ``scores``, ``probabilities`` and ``ranks`` (from 0), each
        ``(n, targets)``; ``top`` and ``top_probabilities``, the highest predictions, ``(n, 5)``; ``prediction``
        and ``probability``, the first of these, ``(n,)``.
    """
    probabilities = jax.nn.softmax(parts.outputs, axis=-1)
    count = min(SHOWN_PREDICTIONS, parts.outputs.shape[-1])
    top_probabilities, top = jax.lax.top_k(probabilities, count)
    at = jnp.maximum(parts.targets, 0)
    own = jnp.take_along_axis(parts.outputs, at, axis=-1)
    return {
        **parts.maps,
        "targets": parts.targets,
        "scores": parts.scores,
        "probabilities": jnp.take_along_axis(probabilities, at, axis=-1),
        "ranks": jnp.sum(parts.outputs[:, jnp.newaxis, :] > own[..., jnp.newaxis], axis=-1).astype(jnp.int32),
        "top": top.astype(jnp.int32),
        "top_probabilities": top_probabilities,
        "prediction": top[:, 0].astype(jnp.int32),
        "probability": top_probabilities[:, 0],
    }


def target_places(results: Mapping[str, np.ndarray]) -> list[int]:
    """Returns the places that hold a target, of one photo's results."""
    return np.flatnonzero(np.asarray(results["targets"]) >= 0).tolist()


def record_indices(results: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, Any]:
    """Returns what a run's manifest says of one photo.

    Args:
        results: The photo's, as :func:`summarise_indices` keeps them.
        names: Of the model's entries, by index.

    Returns:
        ``prediction`` and its ``probability``; ``targets``, each with ``name``, ``index``, ``score``,
        ``probability``, ``rank`` (1: the highest) and ``all_negative``, and the ``place`` of its map; and
        ``predictions``, the highest five.
    """
    scores, probabilities, ranks = (results[name].tolist() for name in ("scores", "probabilities", "ranks"))
    highest = np.max(results["cam"], axis=(-2, -1)).tolist()
    targets = [
        {
            "name": names[index],
            "index": index,
            "score": scores[place],
            "probability": probabilities[place],
            "rank": ranks[place] + 1,
            "all_negative": not highest[place] > 0,
            "place": place,
        }
        for place, index in enumerate(results["targets"].tolist())
        if index >= 0
    ]
    top = zip(results["top"].tolist(), results["top_probabilities"].tolist(), strict=True)
    predictions = [{"name": names[index], "probability": probability} for index, probability in top]
    return {
        "prediction": predictions[0]["name"],
        "probability": predictions[0]["probability"],
        "targets": targets,
        "predictions": predictions,
    }


def guided_parts(results: Mapping[str, np.ndarray], place: int) -> dict[str, Any]:
    """Returns a row's guided gradients, those that were computed, float32; float16 ones times their scale."""
    parts = {}
    for name in GUIDED:
        if name in results:
            parts[name] = np.asarray(results[name][place], np.float32)
        if name + SCALE in results:
            parts[name] *= results[name + SCALE][place]
    return parts


def strength_of(cam: np.ndarray) -> float:
    """Returns how much speaks for a target where most does: its map's highest value, 0 where nothing does."""
    return max(float(np.max(cam)), 0.0)


def blank_note(cam: np.ndarray) -> str:
    """Returns what is added to a line about a target whose map is blank."""
    return "" if cam.max() > 0 else "  - no position speaks for it: its map is blank"


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]

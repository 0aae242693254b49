"""What the evaluation asks of a task: the results of many photos, each with its own question or caption."""

from collections.abc import Callable, Iterable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.attribution.resize import resize_corner_aligned
from gradcam_jax.experiments.batches import in_batches
from gradcam_jax.experiments.reporting import silent
from gradcam_jax.tasks.methods import GRAD_CAM
from gradcam_jax.tasks.task import Request, Task, explain_photos
from gradcam_jax.text.captions import caption_words, find_phrase

ImageAt = Callable[[int], np.ndarray]

_BATCH = 8


def maps_of(
    task: Task,
    image_at: ImageAt,
    requests: Sequence[Request],
    *,
    result: str = "cam",
    report: Callable[[int, int], None] = silent,
) -> np.ndarray:
    """Explains many photos in batches of one shape and returns one of the results, with a leading axis n.

    Each row's photo, ``image_at(row)``, is RGB in [0, 1] of the side that the task explains photos at. Maps are
    ``(n, targets, h, w)`` float32, signed. The array is empty without requests.
    """
    if not requests:
        return np.empty(0, np.float32)
    encoded = [task.encode(request) for request in requests]
    explain = jax.jit(explain_photos, static_argnames=("plan", "methods"))

    def run(rows: np.ndarray) -> jax.Array:
        images, arrays = jax.tree.map(
            lambda *leaves: np.stack(leaves), *((image_at(row), dict(encoded[row])) for row in rows.tolist())
        )
        results = explain(task.forward, images, arrays, plan=task.plan, methods=(GRAD_CAM,))
        report(int(rows[-1]) + 1, len(requests))
        return results[result]

    return in_batches(run, np.arange(len(requests)), batch_size=_BATCH)


def word_maps(
    task: Task, image_at: ImageAt, captions: Sequence[tuple[str, Iterable[str]]]
) -> list[list[np.ndarray]]:
    """Returns the maps of words, or of several in a row, of each row's caption: signed, ``(h, w)`` float32."""
    cams = maps_of(task, image_at, [{"caption": text} for text, _ in captions], result="word_cams")
    return [
        [cam[slice(*find_phrase(phrase, caption_words(text)))].sum(axis=0) for phrase in phrases]
        for cam, (text, phrases) in zip(cams, captions, strict=True)
    ]


def enlarged(cam: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Returns what is positive of a map ``(h, w)``, enlarged to so many rows and columns."""
    return np.asarray(resize_corner_aligned(jnp.maximum(cam, 0), shape))

"""Loss and batches of neuraltalk2's second stage: a captioner's CNN is trained with its language model.

Nothing is cached, since the CNN changes: a batch holds images, each with several captions, so that the CNN runs
once an image. Batch normalisation keeps its statistics, and VGG's dropouts, which neuraltalk2 has on, are off.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.experiments.data.captions import CaptionArrays
from gradcam_jax.experiments.data.views import View, render
from gradcam_jax.experiments.training.caption_head import spoken_log_probs
from gradcam_jax.experiments.training.captioning import word_mask
from gradcam_jax.experiments.training.loop import Loss, shuffled, whole_batches
from gradcam_jax.images.preprocessing import Preprocessing, to_network
from gradcam_jax.models.captioner import Captioner

_CAPTIONS = 5  # of each photo of a batch
_CROPPED = 256 / 224  # neuraltalk2 stretches a photo to 256x256 and cuts 224x224 out of it


def finetuning_loss(
    model: Captioner, preprocessing: Preprocessing, constants: Mapping[str, Any] | None = None
) -> Loss:
    """Returns neuraltalk2's loss as a function of all parameters, the CNN's included.

    The batch holds ``images (n, H, W, 3)`` in RGB from 0 to 1, ``tokens (n, captions, T)`` and ``lengths (n,
    captions)``; the loss is the mean negative log-likelihood of the words and of each caption's END. ``constants``
    are the variables besides ``params``, such as batch statistics.
    """
    others = dict(constants or {})

    def loss(params: Any, batch: Any, key: jax.Array) -> tuple[jax.Array, Mapping[str, jax.Array]]:
        variables = {"params": params, **others}
        images = to_network(batch["images"], preprocessing)
        vector: Any = model.apply(variables, images, method="image_vector")
        tokens = batch["tokens"].reshape(-1, batch["tokens"].shape[-1])
        log_probs: Any = model.apply(
            variables,
            jnp.repeat(vector, batch["tokens"].shape[1], axis=0),
            tokens,
            train=True,
            method="continuations",
            rngs={"dropout": key},
        )
        counted = word_mask(batch["lengths"].reshape(-1), log_probs.shape[-2])
        words = -jnp.sum(spoken_log_probs(log_probs, tokens, model.words) * counted) / jnp.sum(counted)
        return words, {"words": words}

    return loss


def image_batches(
    views: Sequence[View],
    data: CaptionArrays,
    size: int,
    *,
    images: int = 16,
    seed: int = 123,
) -> Callable[[int], dict[str, np.ndarray]]:
    """Returns ``batch_at(step)``: every photo once an epoch, a random crop of each with five of its captions.

    The captions are consecutive ones, or drawn with repetition where a photo has fewer.
    """
    whole_batches(len(views), images)  # too few photos are an error here, not at the first step
    rows_of = [np.flatnonzero(data.photos == photo) for photo in range(len(views))]

    def batch_at(step: int) -> dict[str, np.ndarray]:
        photos, rng = shuffled(len(views), images, seed, step)
        rows = np.stack([_some_captions(rows_of[photo], rng) for photo in photos])
        return {
            "images": np.stack([_crop(views[photo], size, rng) for photo in photos]),
            "tokens": data.tokens[rows],
            "lengths": data.lengths[rows],
        }

    return batch_at


def _some_captions(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if len(rows) < _CAPTIONS:
        return rng.choice(rows, _CAPTIONS)
    start = rng.integers(len(rows) - _CAPTIONS + 1)
    return rows[start : start + _CAPTIONS]


def _crop(view: View, size: int, rng: np.random.Generator) -> np.ndarray:
    whole = round(size * _CROPPED)
    top, left = rng.integers(max(whole - size, 1), size=2)
    return render(view, whole)[top : top + size, left : left + size]

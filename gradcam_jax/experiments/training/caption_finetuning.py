"""Trains a captioner's CNN together with its language model: neuraltalk2's second stage.

Nothing is cached, since the CNN changes: a batch holds images, each with several captions, so that the CNN runs
once an image. Batch normalisation keeps its statistics, and VGG's dropouts, which neuraltalk2 has on, are off.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gradcam_jax.errors import InputError
from gradcam_jax.evaluation.captions import caption_scores, perplexity
from gradcam_jax.experiments.data.captioned_views import CaptionedView, people_views, read_captioned_photos
from gradcam_jax.experiments.data.captions import CaptionArrays, encode_captions
from gradcam_jax.experiments.data.features import encode_images
from gradcam_jax.experiments.data.views import render
from gradcam_jax.experiments.training.caption_head import token_log_probs, written_captions
from gradcam_jax.experiments.training.caption_run import references
from gradcam_jax.experiments.training.captioning import with_end, word_mask
from gradcam_jax.experiments.training.loop import Loss, train
from gradcam_jax.images.preprocessing import Preprocessing, to_network
from gradcam_jax.models.captioner import Captioner
from gradcam_jax.text.vocabulary import Vocabulary

_CROPPED = 256 / 224  # neuraltalk2 stretches a photo to 256x256 and cuts 224x224 out of it


class FinetunedData(NamedTuple):
    """What a run draws its batches from, or is checked on.

    Attributes:
        views: The photos.
        captions: Their captions as word indices.
    """

    views: Sequence[CaptionedView]
    captions: CaptionArrays


def finetuning_loss(model: Captioner, recipe: Preprocessing, constants: Mapping[str, Any] | None = None) -> Loss:
    """Returns neuraltalk2's loss as a function of all parameters, the CNN's included.

    The batch holds ``images (n, H, W, 3)`` in RGB from 0 to 1, ``tokens (n, captions, T)`` and ``lengths (n,
    captions)``; the loss is the mean surprise of the words and of each caption's END.

    Args:
        model: The captioner.
        recipe: How its CNN is fed.
        constants: Variables besides ``params``, such as batch statistics.
    """
    others = dict(constants or {})

    def loss(params: Any, batch: Any, key: jax.Array) -> tuple[jax.Array, Mapping[str, jax.Array]]:
        variables = {"params": params, **others}
        vector: Any = model.apply(variables, to_network(batch["images"], recipe), method="image_vector")
        tokens = batch["tokens"]
        vectors = jnp.broadcast_to(vector[:, jnp.newaxis], (*tokens.shape[:2], vector.shape[-1]))
        log_probs: Any = model.apply(
            variables,
            vectors.reshape(-1, vector.shape[-1]),
            tokens.reshape(-1, tokens.shape[-1]),
            train=True,
            method="continuations",
            rngs={"dropout": key},
        )
        counted = word_mask(batch["lengths"].reshape(-1), log_probs.shape[-2])
        said = with_end(tokens.reshape(-1, tokens.shape[-1]), model.words)[..., jnp.newaxis]
        picked = jnp.take_along_axis(log_probs, said, axis=-1)[..., 0]
        words = -jnp.sum(picked * counted) / jnp.sum(counted)
        return words, {"words": words}

    return loss


def image_batches(
    data: FinetunedData, size: int, *, images: int = 16, captions: int = 5, seed: int = 123
) -> Callable[[int], dict[str, np.ndarray]]:
    """Returns ``batch_at(step)``: every photo once an epoch, a random crop of each with several of its captions.

    Args:
        data: Photos and captions.
        size: Side of the crops, in pixels, out of photos an eighth larger.
        images: Photos a batch; an epoch's incomplete last batch is left out.
        captions: Captions a photo, one after another of those it has; drawn with repetition where it has fewer.
        seed: Of orders, crops and captions.

    Raises:
        InputError: If there are too few photos for one batch.
    """
    batches = len(data.views) // images
    if not batches:
        raise InputError(f"Expected at least {images} photos, a batch, got {len(data.views)} instead.")
    rows_of = [np.flatnonzero(data.captions.photos == photo) for photo in range(len(data.views))]

    def batch_at(step: int) -> dict[str, np.ndarray]:
        epoch, place = divmod(step, batches)
        photos = np.random.default_rng((seed, epoch)).permutation(len(data.views))
        photos = photos[place * images : (place + 1) * images]
        rng = np.random.default_rng((seed, epoch, place))
        rows = np.stack([_some_captions(rows_of[photo], captions, rng) for photo in photos])
        return {
            "images": np.stack([_crop(data.views[photo], size, rng) for photo in photos]),
            "tokens": data.captions.tokens[rows],
            "lengths": data.captions.lengths[rows],
        }

    return batch_at


def finetune_captioner(
    source: str | Path,
    work: Path,
    model: Captioner,
    variables: Mapping[str, Any],
    vocabulary: Vocabulary,
    recipe: Preprocessing,
    optimizer: optax.GradientTransformation,
    steps: int,
    *,
    seed: int = 123,
    every: int = 2500,
    images: int = 16,
    report: Callable[[int, Mapping[str, float]], None] = lambda _step, _numbers: None,
) -> tuple[dict[str, Any], dict[str, float]]:
    """Goes on training a captioner, its CNN included, and keeps what writes best on validation photos.

    Args:
        source: As :func:`gradcam_jax.experiments.data.captioned_views.read_captioned_photos` reads it.
        work: Where snapshots and the history go; a second run there goes on where the first stopped.
        model: A captioner that was trained before.
        variables: Its variables.
        vocabulary: Its words.
        recipe: How its CNN is fed.
        optimizer: For example :func:`gradcam_jax.experiments.training.optimizers.published_captioning_with_cnn`.
        steps: Steps of the whole run.
        seed: Of everything drawn by chance.
        every: Steps between evaluations.
        images: Photos a batch, each with five captions.
        report: Called with a step and its numbers.

    Returns:
        The variables that evaluated best, and what they scored on the validation photos.
    """
    splits = read_captioned_photos(source)
    data, checked = (_encoded(people_views(splits[split]), vocabulary) for split in ("train", "validation"))
    constants = {name: leaves for name, leaves in variables.items() if name != "params"}

    def evaluate(params: Any) -> dict[str, float]:
        return validation_scores(model, {"params": params, **constants}, checked, vocabulary, recipe)

    state = train(
        finetuning_loss(model, recipe, constants),
        variables["params"],
        image_batches(data, recipe.size, images=images, seed=seed),
        optimizer,
        steps,
        key=jax.random.key(seed + 1),
        evaluate=evaluate,
        monitor="validation_cider",
        every=every,
        folder=work / "finetuning",
        settings={"seed": seed, "images": images, "photos": len(data.views), "words": len(vocabulary)},
        report=report,
    )
    best = jax.device_get(state.best_params)
    return {"params": best, **constants}, evaluate(best)


def validation_scores(
    model: Captioner,
    variables: Mapping[str, Any],
    data: FinetunedData,
    vocabulary: Vocabulary,
    recipe: Preprocessing,
) -> dict[str, float]:
    """Returns perplexity, CIDEr and BLEU-4 (greedy) on photos kept apart, seen whole."""

    def encode(images: jax.Array) -> dict[str, jax.Array]:
        cnn = {name: leaves["cnn"] for name, leaves in variables.items()}
        features: Any = model.cnn.apply(cnn, to_network(images, recipe))
        return {"features": features}

    pixels = (render(view.view, recipe.size) for view in data.views)
    features = encode_images(encode, pixels, len(data.views))["features"]
    head = {name: leaf for name, leaf in variables["params"].items() if name != "cnn"}
    log_probs, counted = token_log_probs(model, head, features, data.captions)
    scores = caption_scores(written_captions(model, head, features, vocabulary, width=1), references(data.views))
    return {
        "validation_perplexity": perplexity(log_probs, counted),
        "validation_cider": scores["cider"],
        "validation_bleu_4": scores["bleu_4"],
    }


def _encoded(views: Sequence[CaptionedView], vocabulary: Vocabulary) -> FinetunedData:
    return FinetunedData(views, encode_captions([view.captions for view in views], vocabulary))


def _some_captions(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    if len(rows) < count:
        return rng.choice(rows, count)
    start = rng.integers(len(rows) - count + 1)
    return rows[start : start + count]


def _crop(view: CaptionedView, size: int, rng: np.random.Generator) -> np.ndarray:
    whole = round(size * _CROPPED)
    top, left = rng.integers(max(whole - size, 1), size=2)
    return render(view.view, whole)[top : top + size, left : left + size]

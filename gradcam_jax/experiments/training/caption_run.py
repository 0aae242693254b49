"""The whole training run of a captioner's head on EfficientNet-Lite0: data, features, loop, what is kept."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from gradcam_jax.errors import InputError
from gradcam_jax.evaluation.captions import caption_scores, perplexity
from gradcam_jax.experiments.data.captioned_views import (
    CaptionedView,
    people_views,
    read_captioned_photos,
    template_views,
)
from gradcam_jax.experiments.data.captions import (
    CaptionArrays,
    caption_vocabulary,
    encode_captions,
    often_named,
    training_words,
)
from gradcam_jax.experiments.training.caption_head import token_log_probs, written_captions
from gradcam_jax.experiments.training.captioning import (
    NEURALTALK2_HEAD,
    HeadRecipe,
    caption_batches,
    caption_loss,
    folded,
    initial_params,
    statistics_of,
)
from gradcam_jax.experiments.training.loop import train
from gradcam_jax.experiments.training.optimizers import modern, published_captioning
from gradcam_jax.experiments.training.vqa_features import CNN, Progress, ViewFeatures, view_features
from gradcam_jax.models.captioner import Captioner, captioner_lite0
from gradcam_jax.text.vocabulary import Vocabulary
from gradcam_jax.zoo.classifiers import find_entry, load_variables

SIZE = 320
"""Side of the pictures in training, in pixels: the one that ``explain.py`` explains at."""

COLLAGES = 1500
"""Pictures of two things each that are drawn for training; those without a plain thing on both halves drop out."""

PETS = 500
"""Pictures of a dog and a cat."""

_OFTEN = 0.005  # of people's captions: a word that they teach well enough


class Preset(NamedTuple):
    """Everything that a run depends on besides its data.

    Attributes:
        name: Its name on the command line.
        embedding_size: Length of the image's and the words' vectors.
        hidden_size: Length of the LSTM's vectors.
        dropout: Share of the hidden vector hidden from the decoder in training.
        head: What is done in training only.
        optimizer: From the number of steps to an optimiser.
        batch_size: Captions a batch.
        steps: Steps of the run.
        min_count: How often a word must occur to be in the vocabulary.
    """

    name: str
    embedding_size: int
    hidden_size: int
    dropout: float
    head: HeadRecipe
    optimizer: Callable[[int], optax.GradientTransformation]
    batch_size: int
    steps: int
    min_count: int


LITE0 = Preset(
    name="lite0",
    embedding_size=256,
    hidden_size=512,
    dropout=0.5,
    head=HeadRecipe(),
    optimizer=functools.partial(modern, 2e-3, weight_decay=0.05),
    batch_size=128,
    steps=2600,
    min_count=5,
)
"""The bundled captioner's."""

NEURALTALK2 = Preset(
    name="neuraltalk2",
    embedding_size=512,
    hidden_size=512,
    dropout=0.5,
    head=NEURALTALK2_HEAD,
    optimizer=lambda _steps: published_captioning(),
    batch_size=80,
    steps=50_000,
    min_count=6,
)
"""neuraltalk2's first stage, the CNN frozen: 80 captions a batch (there 5 of each of 16 photos), words seen more
than 5 times. One thing differs: there the linear map to the image's vector is frozen with the CNN, at random."""

PRESETS = {preset.name: preset for preset in (LITE0, NEURALTALK2)}
"""Every preset by name."""


class CaptionData(NamedTuple):
    """One split's views, with features and captions.

    Attributes:
        views: The views.
        features: Their features and class logits.
        captions: Their captions as word indices; ``photos`` counts the views.
    """

    views: Sequence[CaptionedView]
    features: ViewFeatures
    captions: CaptionArrays


class Trained(NamedTuple):
    """A trained head.

    Attributes:
        model: The captioner, CNN included.
        params: The head's parameters, without the CNN's.
        vocabulary: Its words.
        mean_features: Mean of the training views' features, ``(F,)``.
        validation: What it scored on the photos kept for choices.
        data: Numbers of photos and captions it was trained on.
    """

    model: Captioner
    params: dict[str, Any]
    vocabulary: Vocabulary
    mean_features: np.ndarray
    validation: dict[str, float]
    data: dict[str, int]


def train_captioner(
    source: str | Path,
    work: Path,
    preset: Preset,
    *,
    seed: int = 123,
    every: int = 400,
    report: Callable[[int, Mapping[str, float]], None] = lambda _step, _numbers: None,
    progress: Progress = lambda _name, _done, _count: None,
) -> Trained:
    """Trains on every captioned photo of a source, or goes on where a run in the same place stopped.

    Args:
        source: As :func:`gradcam_jax.experiments.data.captioned_views.read_captioned_photos` reads it.
        work: Where features, snapshots and the history go.
        preset: Sizes and settings.
        seed: Of everything drawn by chance.
        every: Steps between evaluations.
        report: Called with a step and its numbers.
        progress: Called while features are computed.
    """
    splits = read_captioned_photos(source)
    texts = [text for photo in splits["train"] for text in photo.captions]
    drawn = template_views(
        source, np.random.default_rng(seed), collages=COLLAGES, pets=PETS, named=often_named(texts, _OFTEN)
    )
    texts += [text for view in drawn for text in view.captions]
    vocabulary = caption_vocabulary(texts, min_count=preset.min_count)
    people = _data("people_train", people_views(splits["train"]), vocabulary, work, progress)
    parts = [people] + ([_data("templates", drawn, vocabulary, work, progress)] if drawn else [])
    checked = _data("people_validation", people_views(splits["validation"]), vocabulary, work, progress)
    features = np.concatenate([part.features.features for part in parts])
    logits = np.concatenate([part.features.logits for part in parts])
    captions = _joined(parts)
    statistics = statistics_of(features, logits)
    classifier = load_variables(find_entry(CNN))["params"]["classifier"]
    model = captioner_lite0(
        len(vocabulary),
        embedding_size=preset.embedding_size,
        hidden_size=preset.hidden_size,
        dropout=preset.dropout,
    )

    def evaluate(params: Any) -> dict[str, float]:
        return validation_scores(
            model, folded(jax.device_get(params), statistics, classifier), checked, vocabulary
        )

    state = train(
        caption_loss(model, statistics, preset.head),
        initial_params(model, statistics, preset.head, jax.random.key(seed)),
        caption_batches(features, logits, captions, batch_size=preset.batch_size, seed=seed),
        preset.optimizer(preset.steps),
        preset.steps,
        key=jax.random.key(seed + 1),
        evaluate=evaluate,
        monitor="validation_cider",
        every=every,
        folder=work / "run",
        settings={"preset": preset.name, "seed": seed, "words": len(vocabulary), "captions": len(captions.photos)},
        report=report,
    )
    params = folded(jax.device_get(state.best_params), statistics, classifier)
    counts = {
        "photos": len(splits["train"]),
        "captions": sum(len(photo.captions) for photo in splits["train"]),
        "template_views": len(drawn),
        "collages": sum(len(view.view.parts) == 2 for view in drawn),
    }
    scores = validation_scores(model, params, checked, vocabulary)
    return Trained(model, params, vocabulary, statistics.feature_mean, scores, counts)


def validation_scores(
    model: Captioner, params: Mapping[str, Any], data: CaptionData, vocabulary: Vocabulary, *, width: int = 1
) -> dict[str, float]:
    """Returns perplexity and CIDEr on views kept apart, from their features."""
    log_probs, counted = token_log_probs(model, params, data.features.features, data.captions)
    written = written_captions(model, params, data.features.features, vocabulary, width=width)
    scores = caption_scores(written, references(data.views))
    return {
        "validation_perplexity": perplexity(log_probs, counted),
        "validation_cider": scores["cider"],
        "validation_bleu_4": scores["bleu_4"],
    }


def references(views: Sequence[CaptionedView]) -> list[list[str]]:
    """Returns each view's captions as the scorer compares them: lower case, without punctuation."""
    return [[" ".join(training_words(caption)) for caption in view.captions] for view in views]


def _data(
    name: str, views: Sequence[CaptionedView], vocabulary: Vocabulary, work: Path, progress: Progress
) -> CaptionData:
    if not views:
        raise InputError(f"There are no photos for {name.replace('_', ' ')}: too few photos for the fixed split.")
    features = view_features([view.view for view in views], SIZE, work / f"{name}.safetensors", progress)
    return CaptionData(views, features, encode_captions([view.captions for view in views], vocabulary))


def _joined(parts: Sequence[CaptionData]) -> CaptionArrays:
    offsets = np.cumsum([0] + [len(part.views) for part in parts])[:-1]
    return CaptionArrays(
        np.concatenate([part.captions.tokens for part in parts]),
        np.concatenate([part.captions.lengths for part in parts]),
        np.concatenate(
            [part.captions.photos + np.int32(offset) for part, offset in zip(parts, offsets, strict=True)]
        ),
    )

"""The bundled captioner: a head on a frozen CNN, from people's captions and template captions of objects."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from gradcam_jax import zoo
from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data import splits
from gradcam_jax.experiments.data.captioned_views import (
    CaptionedView,
    people_views,
    read_whole_captioned_photos,
    template_views,
)
from gradcam_jax.experiments.data.captions import CaptionedPhoto, caption_vocabulary, encode_captions, often_named
from gradcam_jax.experiments.data.faults import Faults, keep_whole
from gradcam_jax.experiments.data.located_captions import LocatedCaptions, located_views
from gradcam_jax.experiments.data.photos import Photo, read_photos
from gradcam_jax.experiments.reporting import Progress, Say
from gradcam_jax.experiments.training.caption_head import references, validation_scores
from gradcam_jax.experiments.training.caption_reward import Rewards
from gradcam_jax.experiments.training.captioning import (
    NEURALTALK2_HEAD,
    HeadRegularization,
    Statistics,
    caption_batches,
    caption_loss,
    folded,
    initial_params,
    statistics_of,
)
from gradcam_jax.experiments.training.evidence import Evidence, discriminants, evidence_of
from gradcam_jax.experiments.training.frozen_features import CNN, ViewFeatures, view_activations, view_features
from gradcam_jax.experiments.training.located_nouns import Located
from gradcam_jax.experiments.training.optimizers import modern, published_captioning
from gradcam_jax.experiments.training.program import (
    WHOLE_PHOTOS,
    Configuration,
    Experiment,
    Options,
    blank_card,
    steps_of,
)
from gradcam_jax.text.vocabulary import Vocabulary

_ENTRY = zoo.find("captioner_lite0")

_OFTEN = 0.005  # of people's captions: a word that they teach well enough

LIMITS = (
    "It knows dogs, people outdoors and sports best; it guesses the colours of clothes and the number of people, "
    "and takes unfamiliar scenes for familiar ones. Not for any use that matters."
)
"""What the card says that the captioner cannot do."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaptionerHead(Configuration):
    """A captioner's head; what writes best on validation photos is kept.

    Attributes:
        optimizer: From the numbers of steps, and of those at the end that are rewarded, to an optimiser.
        rewarded: Share of the steps, at the end, in which captions that the captioner draws are scored too.
        dropout: Share of the hidden vector hidden from the decoder in training.
        batch_size: Captions a batch.
        min_count: How often a word must occur to be in the vocabulary.
        collages: Pictures of two objects each that are drawn for training; those without one plain object on both
            halves drop out.
        pets: Pictures of a dog and a cat.
        made: Collages, and photos with an object of another one pasted on them, that are drawn for the maps' term
            alone; those of two photos of one kind drop out.
    """

    work: str = "output/captioner"
    checkpoint: str = "output/captioner_lite0.safetensors"
    snapshots: str = "run"
    every: int = 200
    optimizer: Callable[[int, int], optax.GradientTransformation]
    rewarded: float = 0.0
    regularization: HeadRegularization
    embedding_size: int
    hidden_size: int = 512
    dropout: float = 0.5
    batch_size: int
    min_count: int
    collages: int = 1500
    pets: int = 500
    made: int = 2000

    def prepare(self, options: Options, say: Say, progress: Progress) -> Experiment:
        """Reads the captions and computes the CNN's features; see :meth:`Configuration.prepare`."""
        photos, known = _read(options, say, progress)
        texts = [text for photo in photos["train"] for text in photo.captions]
        templates = template_views(
            known,
            np.random.default_rng(options.seed),
            collages=self.collages,
            pets=self.pets,
            named=often_named(texts, _OFTEN),
        )
        facts = {
            "trained_by": _ENTRY.trained_by,
            "photos": len(photos["train"]),
            "captions": len(texts),
            "template_views": len(templates),
            "collages": sum(len(view.view.parts) == 2 for view in templates),
        }
        say(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in list(facts.items())[1:]))
        texts += [text for view in templates for text in view.captions]
        vocabulary = caption_vocabulary(texts, min_count=self.min_count)
        people, checked = people_views(photos["train"]), people_views(photos["validation"])
        if not people or not checked:
            raise InputError(f"There are too few photos in {options.data!r} for training and validation.")

        def features_of(name: str, views: Sequence[CaptionedView]) -> ViewFeatures:
            cache = Path(options.work) / f"{name}.safetensors"
            return view_features([view.view for view in views], _ENTRY.size, cache, progress)

        parts = [features_of("people_train", people)]
        parts += [features_of("templates", templates)] if templates else []
        checked_features = features_of("people_validation", checked).features
        features = np.concatenate([part.features for part in parts])
        logits = np.concatenate([part.logits for part in parts])
        captions = encode_captions([view.captions for view in people + templates], vocabulary)
        statistics = statistics_of(features, logits)
        located = self._located(options, known, templates, photos["train"], vocabulary, progress)
        evidence = _evidence(located, features, statistics, vocabulary) if located else None
        rewards = (
            Rewards(parts[0].features, parts[0].logits, references(people), vocabulary) if self.rewarded else None
        )
        epoch = len(captions.photos) // self.batch_size
        steps = steps_of(self, options, epoch)
        classifier = zoo.load(CNN).variables["params"]["classifier"]
        model = _ENTRY.build(
            words=len(vocabulary),
            embedding_size=self.embedding_size,
            hidden_size=self.hidden_size,
            dropout=self.dropout,
            evidence=0 if evidence is None else len(evidence.bias),
        )

        def evaluate(params: Any) -> Mapping[str, float]:
            head = folded(jax.device_get(params), statistics, classifier, evidence)
            return validation_scores(model, head, checked_features, checked, vocabulary)

        def variables(params: Any) -> dict[str, Any]:
            head = folded(params, statistics, classifier, evidence)
            return {
                "params": jax.tree.map(lambda leaf: np.asarray(leaf).astype(np.float16), head),
                "statistics": {"mean_features": statistics.feature_mean.astype(np.float32)},
            }

        return Experiment(
            params=initial_params(model, statistics, self.regularization, jax.random.key(options.seed), evidence),
            loss=caption_loss(model, statistics, self.regularization, classifier, rewards, evidence),
            batch_at=caption_batches(
                features,
                logits,
                captions,
                batch_size=self.batch_size,
                seed=options.seed,
                located=located,
                rewards=rewards,
                rewarded_from=steps - self._last(steps),
            ),
            epoch=epoch,
            optimizer=lambda steps: self.optimizer(steps, self._last(steps)),
            card=blank_card(_ENTRY, words=vocabulary.entries),
            facts={**facts, "words": len(vocabulary), "limits": LIMITS, "splits": splits.NOTE},
            variables=variables,
            evaluate=evaluate,
            monitor="validation_cider",
        )

    def _last(self, steps: int) -> int:
        return round(self.rewarded * steps)

    def _located(
        self,
        options: Options,
        known: Sequence[Photo],
        templates: Sequence[CaptionedView],
        captioned: Sequence[CaptionedPhoto],
        vocabulary: Vocabulary,
        progress: Progress,
    ) -> Located | None:
        """Returns the nouns that maps are trained on, if there are views with objects in known places."""
        rng = np.random.default_rng(options.seed)
        views = located_views(known, templates, captioned, rng, made=self.made)
        if not views or not self.regularization.location_bound:
            return None
        activations = view_activations(views, _ENTRY.size, Path(options.work) / "located.safetensors", progress)
        cells = round(activations.shape[1] ** 0.5)
        return Located(LocatedCaptions(views, captioned, vocabulary, cells), activations)


def _evidence(located: Located, features: np.ndarray, statistics: Statistics, vocabulary: Vocabulary) -> Evidence:
    kinds = located.captions.kinds
    directions = discriminants(located.activations, located.captions.regions(), len(kinds))
    return evidence_of(directions, features, statistics.feature_deviation, kinds, vocabulary)


def _read(options: Options, say: Say, progress: Progress) -> tuple[dict[str, list[CaptionedPhoto]], list[Photo]]:
    """Returns the captioned photos by split, and those whose objects are known."""
    faults, memory = Faults(skip=options.skip_bad, say=say), Path(options.work) / WHOLE_PHOTOS
    captioned = read_whole_captioned_photos(options.data, faults, progress, memory)
    known = read_photos(options.data, faults, required=False)
    known = keep_whole(known, faults, progress=progress, memory=memory)
    faults.settle()
    return captioned, known


def _modern(steps: int, rewarded: int) -> optax.GradientTransformation:
    return modern(2e-3, steps, weight_decay=0.05, last=rewarded, last_rate=2e-4)


LITE0 = CaptionerHead(
    preset="lite0",
    embedding_size=256,
    regularization=HeadRegularization(location_bound=0.25, location_temperature=math.inf, lstm_weight=4.0),
    optimizer=_modern,
    batch_size=128,
    steps=3600,
    rewarded=0.2778,
    min_count=5,
)
"""The bundled captioner's."""

NEURALTALK2 = CaptionerHead(
    preset="neuraltalk2",
    embedding_size=512,
    regularization=NEURALTALK2_HEAD,
    optimizer=lambda _steps, _rewarded: published_captioning(),
    batch_size=80,
    steps=50_000,
    min_count=6,
)
"""neuraltalk2's first stage, the CNN frozen: 80 captions a batch (there 5 of each of 16 photos), words seen more
than 5 times. One thing differs: there the linear map to the image's vector is frozen with the CNN, at random."""

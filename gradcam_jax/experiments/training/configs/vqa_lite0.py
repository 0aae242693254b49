"""The bundled VQA model: questions made from a folder of photos, a frozen CNN, a small head."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from gradcam_jax import zoo
from gradcam_jax.experiments.data import splits
from gradcam_jax.experiments.data.captioned_animals import captioned_animals
from gradcam_jax.experiments.data.captioned_views import read_captioned_photos
from gradcam_jax.experiments.data.faults import Faults, keep_whole
from gradcam_jax.experiments.data.photos import Photo, read_photos
from gradcam_jax.experiments.data.questions import TemplateQuestion, ask
from gradcam_jax.experiments.data.views import split_views
from gradcam_jax.experiments.data.vqa_files import HumanQuestion, read_human_questions
from gradcam_jax.experiments.metrics.answers import accuracy_by_kind
from gradcam_jax.experiments.reporting import Progress, Say
from gradcam_jax.experiments.training.class_units import with_class_units
from gradcam_jax.experiments.training.frozen_features import (
    CNN,
    ViewFeatures,
    located_positions,
    view_features,
)
from gradcam_jax.experiments.training.located import Locations
from gradcam_jax.experiments.training.members import as_one, loss_of_each, together
from gradcam_jax.experiments.training.optimizers import modern, published_vqa, with_slower
from gradcam_jax.experiments.training.principal_axes import PrincipalAxes, fold, principal_axes
from gradcam_jax.experiments.training.program import WHOLE_PHOTOS, Configuration, Experiment, Options, blank_card
from gradcam_jax.experiments.training.transplants import named_classes, transplant, transplanted_views
from gradcam_jax.experiments.training.vqa_examples import (
    EpochsOfQuestions,
    as_templates,
    encode,
    plain_views,
    questions_of_photos,
    vocabularies,
)
from gradcam_jax.experiments.training.vqa_head import best_answers, head_loss, initial_params
from gradcam_jax.images.tfds_source import PREFIX
from gradcam_jax.models.vqa import VQA
from gradcam_jax.text.vocabulary import Vocabulary

_ENTRY = zoo.find("vqa_lite0")

_UNITS_SEED = 1000  # of the first member's draw of classes; the next ones' follow


@dataclasses.dataclass(frozen=True, kw_only=True)
class VqaHead(Configuration):
    """A head on a frozen CNN, asked anew about every view each epoch.

    Attributes:
        optimizer: From the highest learning rate, the number of steps and the weight decay to an optimiser.
        batch_size: Questions a step.
        learning_rate: At its highest.
        weight_decay: Of the modern preset.
        dropout: Fraction dropped at each of the model's five places.
        image_steps: Of the image's projection, which starts as the CNN's classes: a fraction of the others' steps.
        location_weight: How much it counts that the map of a right answer lies on its object; 0 leaves it out.
        mixed: The share of examples that become mixtures of two photos, of those that can.
        members: Heads whose mean answers.
        common: Width of each one's common space.
        collages: Number of training pictures made of two photos.
        captioned: Photos of each animal, at most, of which only people's captions tell what is on them.
        people: Such photos of people without an animal.
        transplants: Made of every ILSVRC class that has a word, anew each epoch.
    """

    work: str = "output/train_vqa"
    checkpoint: str = "output/vqa_lite0.safetensors"
    epochs: int = 20
    optimizer: Callable[[float, int, float], optax.GradientTransformation]
    batch_size: int = 512
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    dropout: float = 0.25
    image_steps: float = 0.3
    location_weight: float = 0.5
    mixed: float = 0.6
    members: int = 3
    common: int = 768
    collages: int = 2000
    captioned: int = 200
    people: int = 250
    transplants: int = 15

    def prepare(self, options: Options, say: Say, progress: Progress) -> Experiment:
        """Reads the photos and computes the CNN's features of their views; see :meth:`Configuration.prepare`."""
        faults, size = Faults(skip=options.skip_bad, say=say), _ENTRY.size
        photos = read_photos(options.data, faults)
        photos = keep_whole(photos, faults, progress=progress, memory=Path(options.work) / WHOLE_PHOTOS)
        further = self._captioned(options, photos, faults, progress)
        human = read_human_questions(options.data, faults)
        faults.settle()
        training, validation = (
            view_features(
                split_views(photos, split, collages=self.collages, further=further),
                size,
                Path(options.work) / f"{split}_{size}.safetensors",
                progress,
            )
            for split in ("train", "validation")
        )
        say(f"{len(photos)} photos, {len(further)} more with captions, {len(training.views)} training views")
        axes = principal_axes(training.features, _classifier())
        epochs, words, answers = self._epochs(options, training, human, axes, progress)
        say(f"{len(words)} words, {len(answers)} answers, {epochs.steps} steps an epoch")
        model = _ENTRY.build(words=len(words), answers=len(answers), dropout=self.dropout, common=self.common)
        check = ask(validation.views, np.random.default_rng(options.seed))
        keys = sorted({part.photo.key for view in training.views for part in view.parts})
        read = axes(training.features)

        def member(number: int) -> Any:
            key = jax.random.fold_in(jax.random.key(options.seed), number)
            drawn = initial_params(model, key, axes.matrix.shape[1])
            rng = np.random.default_rng(_UNITS_SEED + number)
            return with_class_units(drawn, read, training.logits, list(named_classes()), rng)

        one = model.clone(common=self.common * self.members)
        evaluate = _evaluation(one, axes(validation.features), check, words, answers)
        return Experiment(
            params=together([member(number) for number in range(self.members)]),
            loss=loss_of_each(functools.partial(head_loss, model, location_weight=self.location_weight)),
            batch_at=epochs.batch_at,
            epoch=epochs.steps,
            optimizer=lambda steps: with_slower(
                self.optimizer(self.learning_rate, steps, self.weight_decay), "image_projection", self.image_steps
            ),
            card=blank_card(_ENTRY, labels=answers.entries, words=words.entries),
            facts={
                "trained_by": _ENTRY.trained_by,
                "photos": len(keys),
                "photos_sha256": hashlib.sha256("\n".join(keys).encode()).hexdigest(),
                "views": len(training.views),
                "splits": splits.NOTE,
            },
            variables=lambda params: {
                "params": jax.tree.map(lambda leaf: leaf.astype(np.float16), fold(as_one(params), axes))
            },
            evaluate=lambda params: evaluate(as_one(params)),
            monitor="all",
        )

    def _captioned(
        self, options: Options, photos: Sequence[Photo], faults: Faults, progress: Progress
    ) -> list[Photo]:
        """Returns training photos with captions alone, whose animals these tell."""
        if options.data.startswith(PREFIX):
            return []
        boxed = {photo.key for photo in photos}
        captioned = read_captioned_photos(options.data, faults, required=False)["train"]
        captioned = [photo for photo in captioned if photo.key not in boxed]
        rng = np.random.default_rng(options.seed)
        drawn = captioned_animals(captioned, rng, most=self.captioned, people=self.people)
        return keep_whole(drawn, faults, progress=progress, memory=Path(options.work) / WHOLE_PHOTOS)

    def _epochs(
        self,
        options: Options,
        training: ViewFeatures,
        questions: Sequence[HumanQuestion],
        axes: PrincipalAxes,
        progress: Progress,
    ) -> tuple[EpochsOfQuestions, Vocabulary, Vocabulary]:
        """Returns what is asked in training, with the words and the answers."""
        borrowed = transplanted_views(self.transplants)
        views = [*training.views, *borrowed]
        human = questions_of_photos(questions, training.views)
        words, answers = vocabularies(views, human)
        locations = None
        if self.location_weight:
            cache = Path(options.work) / f"located_{_ENTRY.size}.safetensors"
            positions = located_positions(training.views, _ENTRY.size, axes, cache, progress)
            locations = Locations(views, positions, answers) if positions else None
        read, classifier = axes(training.features), _classifier()

        def features(epoch: int) -> np.ndarray:
            rng = np.random.default_rng([options.seed, epoch])
            moved = transplant(training.views, training.features, borrowed, classifier, rng)
            return np.concatenate([read, axes(moved)])

        epochs = EpochsOfQuestions(
            views,
            features,
            as_templates(human, plain_views(training.views)),
            words,
            answers,
            batch_size=self.batch_size,
            seed=options.seed,
            locations=locations,
            mixed=self.mixed,
        )
        return epochs, words, answers


MODERN = VqaHead(preset="modern", optimizer=lambda rate, steps, decay: modern(rate, steps, weight_decay=decay))
"""AdamW with a cosine decay: the bundled model's."""

PUBLISHED = VqaHead(preset="published", optimizer=lambda rate, *_: published_vqa(rate), learning_rate=3e-4)
"""The original's RMSprop."""


def _classifier() -> np.ndarray:
    return np.asarray(zoo.load(CNN).variables["params"]["classifier"]["kernel"])


def _evaluation(
    model: VQA, features: np.ndarray, questions: Sequence[TemplateQuestion], words: Vocabulary, answers: Vocabulary
) -> Callable[[Any], Mapping[str, float]]:
    examples = encode(questions, words, answers)
    kinds = [question.kind for question in questions]

    def evaluate(params: Any) -> Mapping[str, float]:
        best = best_answers(model, params, features, examples)
        right = [
            answers.entries[index] in question.answers for index, question in zip(best, questions, strict=True)
        ]
        return accuracy_by_kind(kinds, right)

    return evaluate

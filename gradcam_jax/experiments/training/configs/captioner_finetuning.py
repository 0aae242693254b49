"""Goes on with a trained captioner, its CNN included: neuraltalk2's second stage."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import optax

from gradcam_jax import zoo
from gradcam_jax.experiments.data import splits
from gradcam_jax.experiments.data.captioned_views import people_views, read_whole_captioned_photos
from gradcam_jax.experiments.data.captions import encode_captions
from gradcam_jax.experiments.data.faults import Faults
from gradcam_jax.experiments.data.features import encode_views
from gradcam_jax.experiments.reporting import Progress, Say
from gradcam_jax.experiments.training.caption_finetuning import finetuning_loss, image_batches
from gradcam_jax.experiments.training.caption_head import validation_scores
from gradcam_jax.experiments.training.optimizers import published_captioning_with_cnn
from gradcam_jax.experiments.training.program import WHOLE_PHOTOS, Configuration, Experiment, Options
from gradcam_jax.images.preprocessing import to_network


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaptionerFinetuning(Configuration):
    """A captioner with its CNN; what writes best on validation photos is kept.

    Attributes:
        optimizer: From the number of steps to an optimiser.
        images: Photos a batch, each with five captions.
    """

    work: str = "output/captioner"
    checkpoint: str = "output/captioner_finetuned.safetensors"
    snapshots: str = "finetuning"
    every: int = 2500
    optimizer: Callable[[int], optax.GradientTransformation]
    images: int = 16

    def prepare(self, options: Options, say: Say, progress: Progress) -> Experiment:
        """Reads the captioner and the captions; see :meth:`Configuration.prepare`."""
        start = zoo.load(options.start, task="captioning")
        model, preprocessing, card = start.model, start.entry.preprocessing, start.card
        assert card is not None, "a captioner's words are in its card"
        faults = Faults(skip=options.skip_bad, say=say)
        photos = read_whole_captioned_photos(options.data, faults, progress, Path(options.work) / WHOLE_PHOTOS)
        faults.settle()
        training, checked = people_views(photos["train"]), people_views(photos["validation"])
        captions = encode_captions([view.captions for view in training], start.words)
        constants = {name: leaves for name, leaves in start.variables.items() if name != "params"}

        def evaluate(params: Any) -> Mapping[str, float]:
            cnn = {name: leaves["cnn"] for name, leaves in ({"params": params} | constants).items()}

            def encode(images: jax.Array) -> dict[str, Any]:
                return {"features": model.cnn.apply(cnn, to_network(images, preprocessing))}

            features = encode_views(encode, [view.view for view in checked], preprocessing.size)["features"]
            head = {name: leaf for name, leaf in params.items() if name != "cnn"}
            return validation_scores(model, head, features, checked, start.words)

        return Experiment(
            params=start.variables["params"],
            loss=finetuning_loss(model, preprocessing, constants),
            batch_at=image_batches(
                [view.view for view in training],
                captions,
                preprocessing.size,
                images=self.images,
                seed=options.seed,
            ),
            epoch=len(training) // self.images,
            optimizer=self.optimizer,
            card=card,
            facts={
                "trained_by": f"python scripts/train.py --task captioning --data DIR --preset {self.preset}",
                "start": start.name,
                "photos": len(training),
                "words": len(start.words),
                "splits": splits.NOTE,
                "before": card.notes,
            },
            variables=lambda params: {"params": params, **constants},
            evaluate=evaluate,
            monitor="validation_cider",
        )


NEURALTALK2_FINETUNE = CaptionerFinetuning(
    preset="neuraltalk2_finetune", steps=50_000, optimizer=lambda _steps: published_captioning_with_cnn()
)
"""Adam in two groups: the CNN at a rate of its own."""

"""Trains a bundled model on a folder of photos; a run that was stopped goes on where it stopped.

python scripts/train.py --task captioning --data DIR
    the captioner: every subfolder of DIR with captions.json (COCO) or captions.csv (file, caption) and images/;
    subfolders with instances.json or labels.csv give template captions of single things and collages
"""

import sys
from collections.abc import Sequence

from absl import app, flags, logging

from gradcam_jax.commands import train_captioning
from gradcam_jax.errors import InputError
from gradcam_jax.training.caption_run import PRESETS

_TASK = flags.DEFINE_enum("task", "captioning", ["captioning"], "What the model is to do.")
_DATA = flags.DEFINE_string("data", "", "The folder with the photos and what is known of them.")
_PRESET = flags.DEFINE_string("preset", "lite0", f"Sizes and settings: {', '.join(PRESETS)}.")
_STEPS = flags.DEFINE_integer("steps", 0, "Steps of the run. Default: the preset's.", lower_bound=0)
_SEED = flags.DEFINE_integer("seed", 123, "Seed of everything that is drawn by chance.")
_WORK = flags.DEFINE_string("work", "output/captioner", "The folder for cached features and snapshots.")
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", "checkpoints/captioner_lite0.safetensors", "The checkpoint to write."
)


def main(arguments: Sequence[str]) -> None:
    """Turns flags into options and trains."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, got {' '.join(arguments[1:])!r}. See --help.")
    logging.set_verbosity(logging.WARNING)  # JAX reports every accelerator that it did not find
    try:
        if not _DATA.value:
            raise InputError("Name the folder with the photos: --data DIR.")
        train_captioning.run(
            train_captioning.Options(
                data=_DATA.value,
                preset=_PRESET.value,
                steps=_STEPS.value,
                seed=_SEED.value,
                work=_WORK.value,
                checkpoint=_CHECKPOINT.value,
            ),
            print,
        )
    except InputError as error:
        sys.exit(f"train.py: {error}")


if __name__ == "__main__":
    app.run(main)

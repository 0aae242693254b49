"""Trains a bundled model on a folder of photos; a run that was stopped goes on where it stopped.

python scripts/train.py --task vqa --data DIR
    the VQA model: every subfolder of DIR with instances.json (COCO) or labels.csv, and images/; questions of
    people are used too where vqa_questions.json and vqa_annotations.json lie beside them
"""

import sys
from collections.abc import Sequence

import tqdm
from absl import app, flags, logging

from gradcam_jax.commands import train_vqa
from gradcam_jax.errors import InputError

_TASK = flags.DEFINE_enum("task", "vqa", ["vqa"], "What the model is to do.")
_DATA = flags.DEFINE_string("data", "", "The folder with the photos and what is known of them.")
_PRESET = flags.DEFINE_enum(
    "preset", "modern", ["modern", "published"], "The optimiser: AdamW, or the original's."
)
_EPOCHS = flags.DEFINE_integer("epochs", train_vqa.Options.epochs, "Times that every photo is asked about.")
_SEED = flags.DEFINE_integer("seed", 123, "Seed of everything that is drawn by chance.")
_WORK = flags.DEFINE_string("work", train_vqa.Options.run_folder, "The folder for cached features and snapshots.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", train_vqa.Options.output, "The checkpoint to write.")


def main(arguments: Sequence[str]) -> None:
    """Turns flags into options and trains."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, got {' '.join(arguments[1:])!r}. See --help.")
    logging.set_verbosity(logging.WARNING)  # JAX reports every accelerator that it did not find
    try:
        if not _DATA.value:
            raise InputError("Name the folder with the photos: --data DIR.")
        options = train_vqa.Options(
            data=_DATA.value,
            output=_CHECKPOINT.value,
            run_folder=_WORK.value,
            preset=_PRESET.value,
            learning_rate=3e-4 if _PRESET.value == "published" else train_vqa.Options.learning_rate,
            epochs=_EPOCHS.value,
            seed=_SEED.value,
        )
        with tqdm.tqdm() as bar:
            print(f"wrote {train_vqa.run(options, bar.write, shown_on(bar))}")
    except InputError as error:
        sys.exit(f"train.py: {error}")


def shown_on(bar: tqdm.tqdm) -> train_vqa.Progress:
    """Returns a progress report that moves a bar, which starts anew when something else begins."""

    def show(name: str, done: int, total: int) -> None:
        if bar.total != total or done < bar.n:
            bar.reset(total)
        bar.set_description(name, refresh=False)
        bar.update(done - bar.n)

    return show


if __name__ == "__main__":
    app.run(main)

"""Trains a bundled model on a folder of photos; a run that was stopped goes on where it stopped.

python scripts/train.py --task vqa --data DIR
    the VQA model: every subfolder of DIR with instances.json (COCO) or labels.csv, and images/; questions of
    people are used too where vqa_questions.json and vqa_annotations.json lie beside them
python scripts/train.py --task captioning --data DIR
    the captioner: every subfolder of DIR with captions.json (COCO) or captions.csv (file, caption) and images/;
    subfolders with instances.json or labels.csv give template captions of single things and collages
python scripts/train.py --task captioning --data tfds:coco_captions/2014
    the captioner on COCO as TensorFlow Datasets has prepared it (nothing is downloaded here)
python scripts/train.py --task captioning --data DIR --preset neuraltalk2_finetune --start CHECKPOINT
    goes on with a trained captioner, its CNN included
"""

import sys
from collections.abc import Sequence

import tqdm
from absl import app, flags, logging

from gradcam_jax.commands import finetune_captioning, train_captioning, train_vqa
from gradcam_jax.errors import InputError
from gradcam_jax.training.caption_run import PRESETS as CAPTIONING_PRESETS

_VQA_PRESETS = ("modern", "published")

_TASK = flags.DEFINE_enum("task", "vqa", ["vqa", "captioning"], "What the model is to do.")
_DATA = flags.DEFINE_string("data", "", "The folder with the photos and what is known of them, or tfds:NAME.")
_PRESET = flags.DEFINE_string(
    "preset",
    "",
    f"VQA: {', '.join(_VQA_PRESETS)}. Captioning: {', '.join([*CAPTIONING_PRESETS, finetune_captioning.PRESET])}. "
    "Default: the first.",
)
_EPOCHS = flags.DEFINE_integer("epochs", train_vqa.Options.epochs, "VQA: times that every photo is asked about.")
_STEPS = flags.DEFINE_integer("steps", 0, "Captioning: steps of the run. Default: the preset's.", lower_bound=0)
_START = flags.DEFINE_string(
    "start", finetune_captioning.Options.start, f"Captioning, {finetune_captioning.PRESET}: what is trained on."
)
_SEED = flags.DEFINE_integer("seed", 123, "Seed of everything that is drawn by chance.")
_WORK = flags.DEFINE_string("work", "", "The folder for cached features and snapshots. Default: in output/.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "", "The checkpoint to write. Default: the bundled one.")


def main(arguments: Sequence[str]) -> None:
    """Turns flags into options and runs the training."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, got {' '.join(arguments[1:])!r}. See --help.")
    logging.set_verbosity(logging.WARNING)
    try:
        if not _DATA.value:
            raise InputError("Name the folder with the photos: --data DIR.")
        if _TASK.value == "captioning" and _PRESET.value == finetune_captioning.PRESET:
            finetune_captioning.run(_finetuning_options(), print)
        elif _TASK.value == "captioning":
            train_captioning.run(_captioning_options(), print)
        else:
            with tqdm.tqdm() as bar:
                print(f"wrote {train_vqa.run(_vqa_options(), bar.write, shown_on(bar))}")
    except InputError as error:
        sys.exit(f"train.py: {error}")


def _vqa_options() -> train_vqa.Options:
    preset = _PRESET.value or _VQA_PRESETS[0]
    if preset not in _VQA_PRESETS:
        raise InputError(f"There is no preset {preset!r} of VQA. There are: {', '.join(_VQA_PRESETS)}.")
    return train_vqa.Options(
        data=_DATA.value,
        output=_CHECKPOINT.value or train_vqa.Options.output,
        run_folder=_WORK.value or train_vqa.Options.run_folder,
        preset=preset,
        learning_rate=3e-4 if preset == "published" else train_vqa.Options.learning_rate,
        epochs=_EPOCHS.value,
        seed=_SEED.value,
    )


def _captioning_options() -> train_captioning.Options:
    return train_captioning.Options(
        data=_DATA.value,
        preset=_PRESET.value or next(iter(CAPTIONING_PRESETS)),
        steps=_STEPS.value,
        seed=_SEED.value,
        work=_WORK.value or "output/captioner",
        checkpoint=_CHECKPOINT.value or "checkpoints/captioner_lite0.safetensors",
    )


def _finetuning_options() -> finetune_captioning.Options:
    return finetune_captioning.Options(
        data=_DATA.value,
        start=_START.value,
        steps=_STEPS.value or finetune_captioning.STEPS,
        seed=_SEED.value,
        work=_WORK.value or finetune_captioning.Options.work,
        checkpoint=_CHECKPOINT.value or finetune_captioning.Options.checkpoint,
    )


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

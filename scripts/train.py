"""Trains a bundled model on a folder of photos; a run that was stopped goes on where it stopped.

python scripts/train.py --task vqa --data DIR
    the VQA model: every subfolder of DIR with instances.json (COCO) or labels.csv, and images/; questions of
    people are used too where vqa_questions.json and vqa_annotations.json lie beside them
python scripts/train.py --task vqa --dataset easy_vqa
    the model for easy-VQA's synthetic pictures, CNN and all (pip install easy-vqa)
python scripts/train.py --task vqa --model vqa_vgg19 --preset published \
    --questions v2_OpenEnded_mscoco_train2014_questions.json \
    --annotations v2_mscoco_train2014_annotations.json --images train2014
    a VQA model on the official VQA files, as the original was trained; --val_questions, --val_annotations and
    --val_images validate it on the way, and several files may be joined: FILE,FILE
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
from pathlib import Path

import tqdm
from absl import app, flags, logging

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.training import run_captioning as train_captioning
from gradcam_jax.experiments.training import run_easy_vqa as train_easy_vqa
from gradcam_jax.experiments.training import run_finetune_captioning as finetune_captioning
from gradcam_jax.experiments.training import run_official_vqa as train_official_vqa
from gradcam_jax.experiments.training import run_vqa as train_vqa
from gradcam_jax.experiments.training.caption_run import PRESETS as CAPTIONING_PRESETS
from gradcam_jax.experiments.training.vqa_official import PRESETS as OFFICIAL_PRESETS

_VQA_PRESETS = ("modern", "published")

_TASK = flags.DEFINE_enum("task", "vqa", ["vqa", "captioning"], "What the model is to do.")
_DATASET = flags.DEFINE_enum("dataset", "", ["", "easy_vqa"], "VQA: a data set that comes as a package.")
_DATA = flags.DEFINE_string("data", "", "The folder with the photos and what is known of them, or tfds:NAME.")
_QUESTIONS = flags.DEFINE_list("questions", [], "VQA: official files of questions to train with.")
_ANNOTATIONS = flags.DEFINE_list("annotations", [], "VQA: what people answered, a file for each of --questions.")
_IMAGES = flags.DEFINE_list("images", [], "VQA: COCO's photos, a folder for each of --questions.")
_VAL_QUESTIONS = flags.DEFINE_list("val_questions", [], "VQA: official files of questions to validate on.")
_VAL_ANNOTATIONS = flags.DEFINE_list("val_annotations", [], "VQA: their answers.")
_VAL_IMAGES = flags.DEFINE_list("val_images", [], "VQA: their photos.")
_MODEL = flags.DEFINE_enum(
    "model",
    train_official_vqa.Options.model,
    list(train_official_vqa.CNNS),
    "VQA on official files: the model, whose CNN stays frozen.",
)
_PRESET = flags.DEFINE_string(
    "preset",
    "",
    f"VQA: {', '.join(_VQA_PRESETS)}. VQA on official files: {', '.join(OFFICIAL_PRESETS)}. "
    f"Captioning: {', '.join([*CAPTIONING_PRESETS, finetune_captioning.PRESET])}. Default: the first.",
)
_EPOCHS = flags.DEFINE_integer("epochs", 0, "VQA: times that every photo is asked about. Default: the data's own.")
_STEPS = flags.DEFINE_integer(
    "steps", 0, "Captioning, and VQA on official files: steps of the run. Default: the preset's.", lower_bound=0
)
_EVERY = flags.DEFINE_integer(
    "every",
    train_official_vqa.Options.every,
    "VQA on official files: steps between evaluations and snapshots.",
    lower_bound=1,
)
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
        if _TASK.value == "captioning" and _PRESET.value == finetune_captioning.PRESET:
            finetune_captioning.run(_finetuning_options(), print)
        elif _TASK.value == "captioning":
            train_captioning.run(_captioning_options(), print)
        else:
            with tqdm.tqdm() as bar:
                print(f"wrote {_train_vqa(bar)}")
    except InputError as error:
        sys.exit(f"train.py: {error}")


def _train_vqa(bar: tqdm.tqdm) -> Path:
    """Trains on the data that the flags name: a package's, the official files, or a folder."""
    if _DATASET.value:
        return train_easy_vqa.run(_easy_vqa_options(), bar.write, shown_on(bar))
    if _QUESTIONS.value:
        return train_official_vqa.run(_official_options(), bar.write, shown_on(bar))
    return train_vqa.run(_vqa_options(), bar.write, shown_on(bar))


def _data_folder() -> str:
    if not _DATA.value:
        raise InputError("Name the folder with the photos: --data DIR.")
    return _DATA.value


def _easy_vqa_options() -> train_easy_vqa.Options:
    default = train_easy_vqa.Options()
    return train_easy_vqa.Options(
        output=_CHECKPOINT.value or default.output,
        run_folder=_WORK.value or default.run_folder,
        epochs=_EPOCHS.value or default.epochs,
        seed=_SEED.value,
    )


def _official_options() -> train_official_vqa.Options:
    return train_official_vqa.Options(
        questions=_QUESTIONS.value,
        annotations=_ANNOTATIONS.value,
        images=_IMAGES.value,
        val_questions=_VAL_QUESTIONS.value,
        val_annotations=_VAL_ANNOTATIONS.value,
        val_images=_VAL_IMAGES.value,
        model=_MODEL.value,
        preset=_PRESET.value or next(iter(OFFICIAL_PRESETS)),
        steps=_STEPS.value,
        every=_EVERY.value,
        seed=_SEED.value,
        run_folder=_WORK.value or train_official_vqa.Options.run_folder,
        output=_CHECKPOINT.value or train_official_vqa.Options.output,
    )


def _vqa_options() -> train_vqa.Options:
    preset = _PRESET.value or _VQA_PRESETS[0]
    if preset not in _VQA_PRESETS:
        raise InputError(f"There is no preset {preset!r} of VQA. There are: {', '.join(_VQA_PRESETS)}.")
    return train_vqa.Options(
        data=_data_folder(),
        output=_CHECKPOINT.value or train_vqa.Options.output,
        run_folder=_WORK.value or train_vqa.Options.run_folder,
        preset=preset,
        learning_rate=3e-4 if preset == "published" else train_vqa.Options.learning_rate,
        epochs=_EPOCHS.value or train_vqa.Options.epochs,
        seed=_SEED.value,
    )


def _captioning_options() -> train_captioning.Options:
    return train_captioning.Options(
        data=_data_folder(),
        preset=_PRESET.value or next(iter(CAPTIONING_PRESETS)),
        steps=_STEPS.value,
        seed=_SEED.value,
        work=_WORK.value or "output/captioner",
        checkpoint=_CHECKPOINT.value or "checkpoints/captioner_lite0.safetensors",
    )


def _finetuning_options() -> finetune_captioning.Options:
    return finetune_captioning.Options(
        data=_data_folder(),
        start=_START.value,
        steps=_STEPS.value or finetune_captioning.STEPS,
        seed=_SEED.value,
        work=_WORK.value or finetune_captioning.Options.work,
        checkpoint=_CHECKPOINT.value or finetune_captioning.Options.checkpoint,
    )


def shown_on(bar: tqdm.tqdm) -> train_vqa.Progress:
    """Returns a progress report that moves a bar, which starts anew when something else begins."""

    def show(name: str, done: int, total: int) -> None:
        bar.set_description(name, refresh=False)
        if bar.total != total or done < bar.n:
            bar.reset(total)
        bar.update(done - bar.n)

    return show


if __name__ == "__main__":
    app.run(main)

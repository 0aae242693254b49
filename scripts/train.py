"""Trains a bundled model on a folder of photos; a run that was stopped goes on where it stopped.

python scripts/train.py --task vqa --data DIR
    the VQA model: every subfolder of DIR with instances.json (COCO) or labels.csv, and images/; questions of
    people are used too where vqa_questions.json and vqa_annotations.json lie beside them, and the animals that
    captions name (captions.csv: file, caption) on photos that have neither boxes nor labels
python scripts/train.py --task vqa --dataset easy_vqa
    the model for easy-VQA's synthetic pictures, CNN and all (pip install easy-vqa)
python scripts/train.py --task vqa --model vqa_vgg19 --preset published \
    --questions v2_OpenEnded_mscoco_train2014_questions.json \
    --annotations v2_mscoco_train2014_annotations.json --images train2014
    a VQA model on the official VQA files, as the original was trained; --val_questions, --val_annotations and
    --val_images validate it on the way, and several files may be joined: FILE,FILE
python scripts/train.py --task captioning --data DIR
    the captioner: every subfolder of DIR with captions.json (COCO) or captions.csv (file, caption) and images/;
    subfolders with instances.json or labels.csv give template captions of single objects and collages
python scripts/train.py --task captioning --data tfds:coco_captions/2014
    the captioner on COCO as TensorFlow Datasets has prepared it (nothing is downloaded here)
python scripts/train.py --task captioning --data DIR --preset neuraltalk2_finetune --start CHECKPOINT
    goes on with a trained captioner, its CNN included

The checkpoint goes into output/ unless --checkpoint names another file: a bundled one stays as it is.
"""

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

import tqdm
from absl import app, flags, logging

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.reporting import shown_on
from gradcam_jax.experiments.training.configs import EXPERIMENTS, find_configuration
from gradcam_jax.experiments.training.configs.vqa_official import MODELS, OfficialVqa
from gradcam_jax.experiments.training.program import Options, run

_PRESETS = "; ".join(f"{name}: {', '.join(presets)}" for name, presets in EXPERIMENTS.items())

_TASK = flags.DEFINE_enum("task", "vqa", ["vqa", "captioning"], "What the model is to do.")
_DATASET = flags.DEFINE_enum("dataset", "", ["", "easy_vqa"], "VQA: a data set that comes as a package.")
_MODEL = flags.DEFINE_enum(
    "model", OfficialVqa.model, list(MODELS), "VQA on official files: the model, whose CNN stays frozen."
)
_PRESET = flags.DEFINE_string("preset", "", f"The experiment's settings. Default: the first. {_PRESETS}.")

flags.DEFINE_string("data", "", "The folder with the photos and what is known of them, or tfds:NAME.")
flags.DEFINE_list("questions", [], "VQA: official files of questions to train with.")
flags.DEFINE_list("annotations", [], "VQA: what people answered, a file for each of --questions.")
flags.DEFINE_list("images", [], "VQA: COCO's photos, a folder for each of --questions.")
flags.DEFINE_list("val_questions", [], "VQA: official files of questions to validate on.")
flags.DEFINE_list("val_annotations", [], "VQA: their answers.")
flags.DEFINE_list("val_images", [], "VQA: their photos.")
flags.DEFINE_string("start", "", "Captioning, neuraltalk2_finetune: what is trained on. Default: captioner_lite0.")
flags.DEFINE_integer("steps", 0, "Steps of the run. Default: the preset's.", lower_bound=0)
flags.DEFINE_integer("epochs", 0, "Its length in epochs, unless --steps is given.", lower_bound=0)
flags.DEFINE_integer("every", 0, "Steps between evaluations and snapshots. Default: the preset's.", lower_bound=0)
flags.DEFINE_integer("seed", 123, "Seed of everything that is drawn by chance.")
flags.DEFINE_string("work", "", "The folder for cached features and snapshots. Default: in output/.")
flags.DEFINE_string("checkpoint", "", "The checkpoint to write. Default: the preset's.")
flags.DEFINE_bool("skip_bad", False, "Go on without what is at fault in the data, and say how much that is.")


def main(arguments: Sequence[str]) -> None:
    """Turns flags into a configuration and options, and runs the training."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, got {' '.join(arguments[1:])!r}. See --help.")
    logging.set_verbosity(logging.WARNING)
    values: dict[str, Any] = {field.name: flags.FLAGS[field.name].value for field in dataclasses.fields(Options)}
    options = Options(**values)
    try:
        experiment = _experiment(options)
        configuration = find_configuration(experiment, _PRESET.value)
        if isinstance(configuration, OfficialVqa):
            configuration = dataclasses.replace(configuration, model=_MODEL.value)
        with tqdm.tqdm() as bar:
            run(configuration, options, bar.write, shown_on(bar))
    except InputError as error:
        sys.exit(f"train.py: {error}")


def _experiment(options: Options) -> str:
    """Returns what is trained on the data that the flags name: a package's, the official files, or a folder."""
    if _TASK.value == "vqa" and (_DATASET.value or options.questions):
        return _DATASET.value or "official_vqa"
    if not options.data:
        raise InputError("Name the folder with the photos: --data DIR.")
    return _TASK.value


if __name__ == "__main__":
    app.run(main)

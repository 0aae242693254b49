"""Measures how good a model, or its explanations, are on data that you have.

  python scripts/evaluate.py --task classification --data DIR
      top-1 and top-5 accuracy over DIR/imagenet_samples (labels.csv, images/)
  python scripts/evaluate.py --task vqa --data DIR
      on photos kept out of training: accuracy beside that of the question alone, people's questions, and whether
      the maps point at what they are about, beside the photo's centre
  python scripts/evaluate.py --task vqa --dataset easy_vqa
      accuracy on easy-VQA's test set, and how often the maps point at the shape, beside maps of random numbers
  python scripts/evaluate.py --task vqa --model FILE --questions FILE --annotations FILE --images val2014
      the official VQA accuracy; the answers go to vqa_results.json, without --annotations too (the test sets)
  python scripts/evaluate.py --task captioning --data DIR
      BLEU, ROUGE-L, CIDEr and perplexity beside baselines, and the words' pointing game, on the test photos of DIR

What was measured goes to evaluation.json in --out_path.
"""

import sys
from collections.abc import Sequence

import tqdm
from absl import app, flags, logging

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.evaluators import program
from gradcam_jax.zoo import DEFAULTS

_TASK = flags.DEFINE_enum("task", "classification", list(DEFAULTS), "What the model does.")
_MODEL = flags.DEFINE_string("model", "", "The model. Default: the task's own.")
_DATA = flags.DEFINE_string("data", "", "The folder with the data.")
_DATASET = flags.DEFINE_enum("dataset", "", ["", program.EASY_VQA], "VQA: a data set that comes as a package.")
_QUESTIONS = flags.DEFINE_list("questions", [], "VQA: official files of questions.")
_ANNOTATIONS = flags.DEFINE_list("annotations", [], "VQA: what people answered, a file for each of --questions.")
_IMAGES = flags.DEFINE_list("images", [], "VQA: COCO's photos, a folder for each of --questions.")
_RECIPE = flags.DEFINE_string(
    "recipe", "", "The preprocessing. Default: that of the model's published evaluation."
)
_BEAM = flags.DEFINE_integer("beam_size", program.Options.beam_size, "Captioning: beams kept while it writes.")
_WORK = flags.DEFINE_string(
    "work",
    "",
    "Captioning, and VQA on official files: the folder for cached features; a training run's spares time. "
    "Default: where training puts it.",
)
_OUT = flags.DEFINE_string("out_path", "output", "The folder for evaluation.json.")


def main(arguments: Sequence[str]) -> None:
    """Turns flags into options and runs the evaluation."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, got {' '.join(arguments[1:])!r}. See --help.")
    logging.set_verbosity(logging.WARNING)
    options = program.Options(
        task=_TASK.value,
        model=_MODEL.value,
        data=_DATA.value,
        dataset=_DATASET.value,
        questions=_QUESTIONS.value,
        annotations=_ANNOTATIONS.value,
        images=_IMAGES.value,
        recipe=_RECIPE.value,
        beam_size=_BEAM.value,
        work=_WORK.value,
        out_path=_OUT.value,
    )
    try:
        with tqdm.tqdm(disable=None) as bar:
            program.run(options, tqdm.tqdm.write, shown_on(bar))
    except InputError as error:
        sys.exit(f"evaluate.py: {error}")


if __name__ == "__main__":
    app.run(main)

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

from absl import app, flags, logging

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.evaluators import captioning as evaluate_captioning
from gradcam_jax.experiments.evaluators import classification as evaluate_classification
from gradcam_jax.experiments.evaluators import easy_vqa as evaluate_easy_vqa
from gradcam_jax.experiments.evaluators import official_vqa as evaluate_official_vqa
from gradcam_jax.experiments.evaluators import vqa as evaluate_vqa
from gradcam_jax.zoo import captioners
from gradcam_jax.zoo import classifiers as zoo

_TASK = flags.DEFINE_enum("task", "classification", [*zoo.DEFAULT, "vqa", "captioning"], "What the model does.")
_MODEL = flags.DEFINE_string("model", "", "The model. Default: the task's own.")
_DATA = flags.DEFINE_string("data", "", "The folder with the data.")
_DATASET = flags.DEFINE_enum("dataset", "", ["", "easy_vqa"], "VQA: a data set that comes as a package.")
_QUESTIONS = flags.DEFINE_list("questions", [], "VQA: official files of questions.")
_ANNOTATIONS = flags.DEFINE_list("annotations", [], "VQA: what people answered, a file for each of --questions.")
_IMAGES = flags.DEFINE_list("images", [], "VQA: COCO's photos, a folder for each of --questions.")
_RECIPE = flags.DEFINE_string(
    "recipe", "", "The preprocessing. Default: that of the model's published evaluation."
)
_BEAM = flags.DEFINE_integer("beam_size", 3, "Captioning: beginnings kept while captions are generated.")
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
    try:
        if _TASK.value == "vqa":
            _evaluate_vqa()
        elif _TASK.value == "captioning":
            model = _MODEL.value or captioners.DEFAULT
            evaluate_captioning.run(
                evaluate_captioning.Options(
                    _data_folder(), model, _BEAM.value, _WORK.value or "output/captioner", _OUT.value
                ),
                print,
            )
        else:
            model = _MODEL.value or zoo.DEFAULT[_TASK.value]
            options = evaluate_classification.Options(_data_folder(), model, _RECIPE.value, _OUT.value)
            evaluate_classification.run(options, print)
    except InputError as error:
        sys.exit(f"evaluate.py: {error}")


def _evaluate_vqa() -> None:
    """Measures on the data that the flags name: a package's, the official files, or a folder."""
    if _DATASET.value:
        model = _MODEL.value or evaluate_easy_vqa.Options.model
        evaluate_easy_vqa.run(evaluate_easy_vqa.Options(model, _OUT.value), print)
    elif _QUESTIONS.value:
        options = evaluate_official_vqa.Options(
            questions=_QUESTIONS.value,
            images=_IMAGES.value,
            annotations=_ANNOTATIONS.value,
            model=_MODEL.value or evaluate_official_vqa.Options.model,
            work=_WORK.value or evaluate_official_vqa.Options.work,
            out_path=_OUT.value,
        )
        evaluate_official_vqa.run(options, print)
    else:
        model = _MODEL.value or evaluate_vqa.Options.model
        evaluate_vqa.run(evaluate_vqa.Options(_data_folder(), model, _OUT.value), print)


def _data_folder() -> str:
    if not _DATA.value:
        raise InputError("Name the folder with the data: --data DIR.")
    return _DATA.value


if __name__ == "__main__":
    app.run(main)

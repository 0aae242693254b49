"""Measures how good a model, or its explanations, are on data that you have.

  python scripts/evaluate.py --task classification --data DIR
      top-1 and top-5 accuracy over DIR/imagenet_samples (labels.csv, images/)
  python scripts/evaluate.py --task vqa --data DIR
      on photos kept out of training: accuracy beside that of the question alone, people's questions, and whether
      the maps point at what they are about, beside the photo's centre
  python scripts/evaluate.py --task captioning --data DIR
      BLEU, ROUGE-L, CIDEr and perplexity beside baselines, and the words' pointing game, on the test photos of DIR

What was measured goes to evaluation.json in --out_path.
"""

import sys
from collections.abc import Sequence

from absl import app, flags, logging

from gradcam_jax import captioners, zoo
from gradcam_jax.commands import evaluate_captioning, evaluate_classification, evaluate_vqa
from gradcam_jax.errors import InputError

_TASK = flags.DEFINE_enum("task", "classification", [*zoo.DEFAULT, "vqa", "captioning"], "What the model does.")
_MODEL = flags.DEFINE_string("model", "", "The model. Default: the task's own.")
_DATA = flags.DEFINE_string("data", None, "The folder with the data.", required=True)
_RECIPE = flags.DEFINE_string(
    "recipe", "", "The preprocessing. Default: that of the model's published evaluation."
)
_BEAM = flags.DEFINE_integer("beam_size", 3, "Captioning: beginnings kept while captions are generated.")
_WORK = flags.DEFINE_string(
    "work", "output/captioner", "Captioning: the folder for cached features; a training run's spares time."
)
_OUT = flags.DEFINE_string("out_path", "output", "The folder for evaluation.json.")


def main(arguments: Sequence[str]) -> None:
    """Turns flags into options and runs the evaluation."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, got {' '.join(arguments[1:])!r}. See --help.")
    logging.set_verbosity(logging.WARNING)
    try:
        if _TASK.value == "vqa":
            model = _MODEL.value or evaluate_vqa.Options.model
            evaluate_vqa.run(evaluate_vqa.Options(_DATA.value, model, _OUT.value), print)
        elif _TASK.value == "captioning":
            model = _MODEL.value or captioners.DEFAULT
            evaluate_captioning.run(
                evaluate_captioning.Options(_DATA.value, model, _BEAM.value, _WORK.value, _OUT.value), print
            )
        else:
            model = _MODEL.value or zoo.DEFAULT[_TASK.value]
            options = evaluate_classification.Options(_DATA.value, model, _RECIPE.value, _OUT.value)
            evaluate_classification.run(options, print)
    except InputError as error:
        sys.exit(f"evaluate.py: {error}")


if __name__ == "__main__":
    app.run(main)

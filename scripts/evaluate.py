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
  python scripts/evaluate.py --task TASK --data DATA --methods grad_cam,centre,random --metrics pointing,energy
      explanations: a table with confidence intervals, curves and pictures, from photos with boxes. DATA is a
      folder with COCO's instances.json, Pascal VOC's or ILSVRC's, or tfds:voc/2007; see docs/evaluation.md

What was measured goes to evaluation.json in --out_path.
"""

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

import tqdm
from absl import app, flags, logging

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.evaluators.cases import KNOWN_METHODS
from gradcam_jax.experiments.evaluators.explanations import METRICS
from gradcam_jax.experiments.evaluators.program import EASY_VQA, Options, run
from gradcam_jax.experiments.reporting import shown_on
from gradcam_jax.zoo import DEFAULTS

flags.DEFINE_enum("task", Options.task, list(DEFAULTS), "What the model does.")
flags.DEFINE_string("model", "", "The model, as explain.py takes it. Default: the task's own.")
flags.DEFINE_string("checkpoint", "", "Classification: the weights of --model, unless it has its own.")
flags.DEFINE_string("labels", "", "Classification: a file of the classes' names.")
flags.DEFINE_string("data", "", "The folder with the data.")
flags.DEFINE_enum("dataset", "", ["", EASY_VQA], "VQA: a data set that comes as a package.")
flags.DEFINE_list("questions", [], "VQA: official files of questions.")
flags.DEFINE_list("annotations", [], "VQA: what people answered, a file for each of --questions.")
flags.DEFINE_list(
    "images", [], "VQA: COCO's photos, a folder for each of --questions. Explanations: the folder of the photos."
)
flags.DEFINE_string("recipe", "", "The preprocessing. Default: that of the model's published evaluation.")
flags.DEFINE_list(
    "methods",
    [],
    f"Explanations: {', '.join(KNOWN_METHODS)}. Default: grad_cam and the baselines, the last three.",
)
flags.DEFINE_list("metrics", [], f"Explanations: what is measured: {', '.join(METRICS)}.")
flags.DEFINE_string("split", "", "Explanations: the part of the data. Default: its test part.")
flags.DEFINE_integer("max_photos", 0, "Explanations: so many photos, spread over the data. 0: all.")
flags.DEFINE_integer("steps", Options.steps, "Explanations: steps of deletion and insertion; RISE's are 224.")
flags.DEFINE_string("layer_name", "", "Explanations: the layer to map. Default: the model's.")
flags.DEFINE_integer("input_sz", 0, "Explanations: side of the model's image, in pixels. Default: the model's.")
flags.DEFINE_integer("beam_size", Options.beam_size, "Captioning: beams kept while captions are generated.")
flags.DEFINE_string(
    "work",
    "",
    "Captioning, and VQA on official files: the folder for cached features; a training run's spares time. "
    "Default: where training puts it.",
)
flags.DEFINE_bool("skip_bad", False, "Go on without what is at fault in the data, and say how much that is.")
flags.DEFINE_string("out_path", Options.out_path, "The folder for evaluation.json.")


def main(arguments: Sequence[str]) -> None:
    """Turns flags into options and runs the evaluation."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, got {' '.join(arguments[1:])!r}. See --help.")
    logging.set_verbosity(logging.WARNING)
    values: dict[str, Any] = {field.name: flags.FLAGS[field.name].value for field in dataclasses.fields(Options)}
    try:
        with tqdm.tqdm(disable=None) as bar:
            run(Options(**values), bar.write, shown_on(bar))
    except InputError as error:
        sys.exit(f"evaluate.py: {error}")


if __name__ == "__main__":
    app.run(main)

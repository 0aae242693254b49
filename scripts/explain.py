"""Explains why a model said what it said about a photo.

  python scripts/explain.py
      explains the bundled model on the sample photo: a cat, and a cup of coffee
  python scripts/explain.py --input_image_path dog.jpg
      explains the class that the model predicts
  python scripts/explain.py --input_image_path cat_dog.jpg --label "boxer,tiger cat"
      explains two classes from one forward pass; 243, boxer and n02108089 name the same class
  python scripts/explain.py --task vqa --input_image_path cat_dog.jpg --question "What animal?" --answer "dog, cat"
      explains answers to a question, and which of its words mattered; without --answer the predicted one
  python scripts/explain.py --task captioning --input_image_path cat_dog.jpg --caption "a dog and a cat"
      explains a caption word by word; without --caption the one that the model writes
  python scripts/explain.py --images photos/ --out_path run
      explains every photo in a folder, a glob, a list (.txt, .jsonl, .csv) or tfds:NAME/SPLIT, for any task; the
      same command goes on where it was stopped

Pictures go to --out_path: the map (classify_gcam_hm_243.png), guided backpropagation (classify_gb_243.png), Guided
Grad-CAM (classify_gb_gcam_243.png), the map on the photo (classify_overlay_243.png) and all of them side by side
(classify_panel_243.png); the numbers to explanation.npz and explanation.json. An answer's are called
vqa_gcam_hm_dog.png and so on, a caption's caption_gcam_hm_TEXT.png, and caption_words_TEXT.gif walks through its
words. With --images the results are shards/*.safetensors and manifest.jsonl, one line an image.
"""

import sys
from collections.abc import Sequence

import jax
from absl import app, flags, logging

from gradcam_jax.app import batch, captioning, classification, vqa
from gradcam_jax.app.batch_options import DTYPES, SAVE
from gradcam_jax.app.batch_options import Options as BatchOptions
from gradcam_jax.app.start import join_processes, use_compilation_cache
from gradcam_jax.errors import InputError
from gradcam_jax.images import preprocessing
from gradcam_jax.interception.linen import layer_shapes
from gradcam_jax.pipeline.job import METHODS
from gradcam_jax.zoo import classifiers as zoo
from gradcam_jax.zoo.captioners import CAPTIONERS
from gradcam_jax.zoo.captioners import DEFAULT as DEFAULT_CAPTIONER
from gradcam_jax.zoo.question_models import QUESTION_MODELS

_TASK = flags.DEFINE_enum("task", "classification", [*zoo.DEFAULT, "vqa", "captioning"], "What the model does.")
_MODEL = flags.DEFINE_string("model", "", f"The model: {', '.join(zoo.ZOO)}. Default: the task's own.")
_IMAGE = flags.DEFINE_string("input_image_path", "", "The photo. Default: the sample photo.")
_LABEL = flags.DEFINE_string(
    "label",
    "",
    "Classes to explain, comma-separated: 1-based numbers (243 = boxer), names or WordNet ids; -1 is the "
    "predicted class. Default: -1; on the sample photo its two classes.",
)
_QUESTION = flags.DEFINE_string("question", vqa.Options.question, "VQA: the question.")
_ANSWER = flags.DEFINE_string(
    "answer", "", "VQA: answers to explain, comma-separated. Default: the predicted one."
)
_COUNTERFACTUAL = flags.DEFINE_bool(
    "counterfactual", False, "VQA: map what would have to go for the model to be surer of the answer."
)
_PROTO_FILE = flags.DEFINE_string("proto_file", "", "The original's: the CNN is part of a converted checkpoint.")
_MODEL_FILE = flags.DEFINE_string("model_file", "", "The original's: the CNN is part of a converted checkpoint.")
_CAPTION = flags.DEFINE_string("caption", "", "Captioning: the caption to explain. Default: the generated one.")
_PHRASES = flags.DEFINE_string("phrases", "", "Captioning: phrases of the caption to explain, comma-separated.")
_KEEP_CASE = flags.DEFINE_bool(
    "keep_case", False, "Captioning: leave the caption's capitals, as the original program does."
)
_BEAM = flags.DEFINE_integer(
    "beam_size", 3, "Captioning: beginnings kept while generating; 1 is the original program's greedy choice."
)
_LENGTH_EXPONENT = flags.DEFINE_float(
    "length_exponent",
    captioning.LENGTH_EXPONENT,
    "Captioning: generated captions are ranked by log p / length^this; 0 is neuraltalk2's rule.",
)
_MODEL_PATH = flags.DEFINE_string(
    "model_path", "", f"VQA and captioning: a checkpoint, or {', '.join((*QUESTION_MODELS, *CAPTIONERS))}."
)
_CAPTION_LAYER = flags.DEFINE_string("layer", "", "Captioning: what --layer_name is; 30 is relu5_3 in VGG-16.")
_TOP_K = flags.DEFINE_integer(
    "top_k", 1, "How many of the highest predictions to explain (with --label -1, or no --answer)."
)
_LAYER = flags.DEFINE_string(
    "layer_name",
    "",
    "The layer to map, by name or 1-based number. Default: the model's last convolution's output.",
)
_LIST_LAYERS = flags.DEFINE_bool("list_layers", False, "Print the model's layers with their shapes, and stop.")
_SIZE = flags.DEFINE_integer("input_sz", 0, "Side of the network's image, in pixels. Default: the recipe's.")
_RECIPE = flags.DEFINE_string(
    "recipe", "", f"The preprocessing: {', '.join(preprocessing.PREPROCESSINGS)}. Default: the model's own."
)
_OUT = flags.DEFINE_string("out_path", "output", "The folder for the pictures and numbers.")
_NAME = flags.DEFINE_string("output_image_name", "", "What file names carry. Default: the label's number.")
_HEATMAP = flags.DEFINE_integer("save_as_heatmap", 1, "1: save the map in colour. Other values: in grey.")
_PLATFORM = flags.DEFINE_string("platform", "", "Where to compute: cpu, cuda or tpu. Default: the best there is.")
_CACHE = flags.DEFINE_bool("compilation_cache", True, "Keep compiled programs in the user's cache folder.")

_IMAGES = flags.DEFINE_string(
    "images",
    "",
    "Many images: a folder, a glob, a list (.txt; .jsonl or .csv with path and, if wanted, id, label, question, "
    "answer, caption), or tfds:NAME/SPLIT.",
)
_METHODS = flags.DEFINE_string(
    "methods", "grad_cam", f"Many images: what is computed, comma-separated, of {', '.join(METHODS)}."
)
_DTYPE = flags.DEFINE_enum(
    "dtype", "float32", DTYPES, "Many images: type of the trunk; head, gradients and maps are float32."
)
_SAVE = flags.DEFINE_enum("save", "maps", SAVE, "Many images: what is written besides the raw maps.")
_BATCH_SIZE = flags.DEFINE_string("batch_size", "auto", "Many images: how many at once; auto: what fits.")
_WORKERS = flags.DEFINE_integer(
    "workers", 0, "Many images: threads that decode. Default: one a core, on CPUs half as many."
)
_SCALED = flags.DEFINE_bool(
    "scaled_decoding", False, "Many images: decode large JPEGs at 1/2, 1/4 or 1/8 of their size; faster."
)
_RETRY = flags.DEFINE_bool("retry_failed", False, "Many images: try those that failed again.")
_PROCESSES = flags.DEFINE_integer("num_processes", 1, "Many images: how many processes share them.")
_PROCESS = flags.DEFINE_integer("process_id", 0, "Many images: number of this process, from 0.")
_COORDINATOR = flags.DEFINE_string("coordinator", "", "Many images: host:port of process 0, for a TPU pod.")
_CLUSTER = flags.DEFINE_bool("cluster", False, "Many images: take the three above from the cluster's environment.")


def main(arguments: Sequence[str]) -> None:
    """Turns flags into options and runs the task."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, got {' '.join(arguments[1:])!r}. See --help.")
    logging.set_verbosity(logging.WARNING)  # JAX reports every accelerator that it did not find
    try:
        _choose_platform(_PLATFORM.value)
        if _CACHE.value:
            use_compilation_cache()
        if _IMAGES.value:
            sys.exit(batch.run(_batch_options(), print))
        if _TASK.value == "vqa":
            _explain_answers()
        elif _TASK.value == "captioning":
            _explain_caption()
        elif _LIST_LAYERS.value:
            _print_layers(_MODEL.value or zoo.DEFAULT[_TASK.value], _SIZE.value)
        else:
            classification.run(_classification_options(), print)
    except InputError as error:
        sys.exit(f"explain.py: {error}")


def _batch_options() -> BatchOptions:
    place = join_processes(_PROCESSES.value, _PROCESS.value, _COORDINATOR.value, from_cluster=_CLUSTER.value)
    if _BATCH_SIZE.value != "auto" and not (_BATCH_SIZE.value.isdigit() and int(_BATCH_SIZE.value)):
        raise InputError(f"Expected --batch_size auto or a number from 1, got {_BATCH_SIZE.value!r} instead.")
    return BatchOptions(
        images=_IMAGES.value,
        task=_TASK.value,
        model=_MODEL_PATH.value or _MODEL.value,
        out_path=_OUT.value,
        layer_name=_CAPTION_LAYER.value or _LAYER.value,
        input_sz=_SIZE.value,
        recipe=_RECIPE.value,
        methods=_METHODS.value,
        label=_LABEL.value,
        question=_QUESTION.value,
        answer=_ANSWER.value,
        caption=_CAPTION.value,
        top_k=_TOP_K.value,
        beam_size=_BEAM.value,
        length_exponent=_LENGTH_EXPONENT.value,
        dtype=_DTYPE.value,
        save=_SAVE.value,
        batch_size=0 if _BATCH_SIZE.value == "auto" else int(_BATCH_SIZE.value),
        workers=_WORKERS.value,
        scaled_decoding=_SCALED.value,
        retry_failed=_RETRY.value,
        process=place.process,
        processes=place.processes,
    )


def _classification_options() -> classification.Options:
    return classification.Options(
        input_image_path=_IMAGE.value,
        model=_MODEL.value or zoo.DEFAULT["classification"],
        label=_LABEL.value,
        top_k=_TOP_K.value,
        layer_name=_LAYER.value,
        input_sz=_SIZE.value,
        recipe=_RECIPE.value,
        out_path=_OUT.value,
        output_image_name=_NAME.value,
        save_as_heatmap=_HEATMAP.value == 1,
    )


def _explain_answers() -> None:
    if _PROTO_FILE.value or _MODEL_FILE.value:
        raise InputError(
            "--proto_file and --model_file name the CNN's files, which are read once: "
            "python scripts/convert_checkpoint.py --model vqa_vgg19 CAFFEMODEL lstm.t7 data_prepro.json, then "
            "--model_path vqa_vgg19."
        )
    options = vqa.Options(
        input_image_path=_IMAGE.value,
        question=_QUESTION.value,
        answer=_ANSWER.value,
        top_k=_TOP_K.value,
        model_path=_MODEL_PATH.value or _MODEL.value or vqa.Options.model_path,
        layer_name=_LAYER.value,
        counterfactual=_COUNTERFACTUAL.value,
        input_sz=_SIZE.value,
        recipe=_RECIPE.value,
        out_path=_OUT.value,
        save_as_heatmap=_HEATMAP.value == 1,
    )
    if _LIST_LAYERS.value:
        vqa.list_layers(options, print)
    else:
        vqa.run(options, print)


def _explain_caption() -> None:
    options = captioning.Options(
        input_image_path=_IMAGE.value,
        caption=_CAPTION.value,
        phrases=_PHRASES.value,
        model_path=_MODEL_PATH.value or _MODEL.value or DEFAULT_CAPTIONER,
        layer=_CAPTION_LAYER.value or _LAYER.value,
        beam_size=_BEAM.value,
        length_exponent=_LENGTH_EXPONENT.value,
        keep_case=_KEEP_CASE.value,
        input_sz=_SIZE.value,
        recipe=_RECIPE.value,
        out_path=_OUT.value,
        save_as_heatmap=_HEATMAP.value == 1,
    )
    if _LIST_LAYERS.value:
        captioning.list_layers(options, print)
    else:
        captioning.run(options, print)


def _choose_platform(name: str) -> None:
    if not name:
        return
    jax.config.update("jax_platforms", name)
    try:
        jax.devices()
    except RuntimeError as error:
        raise InputError(f"The platform {name!r} cannot be used here: {error}") from error


def _print_layers(model_name: str, size: int) -> None:
    entry = zoo.find_entry(model_name)
    model = entry.build()
    image = zoo.example_image(entry, size or None)
    for name, leaf in layer_shapes(model, zoo.variable_shapes(model, image), image).items():
        print(f"{name:<28}{'x'.join(map(str, leaf.shape))}")


if __name__ == "__main__":
    app.run(main)

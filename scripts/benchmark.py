"""Measures how fast each model is explained, and how fast the peers do the same work.

  python scripts/benchmark.py
      every model and kind of work here, on the device that JAX has
  python scripts/benchmark.py --peers --models vgg16 --batch_sizes 8
      the same beside torch, captum, torch-cam and pytorch-grad-cam (extra `oracle`)
  python scripts/benchmark.py --peers --models vgg16 --batch_sizes 1 --work grad_cam,gradient_methods,ablation_cam
      what many methods cost beside one, and Ablation-CAM by the layers after the mapped one alone
  python scripts/benchmark.py --images photos/
      the way from files: decoding in threads and processes, and a whole run beside its compiled function
  python scripts/benchmark.py --survey --images photos/
      all of a device in one table within --seconds: rates of products and transfers, explanations in every
      precision beside the peers that are installed, agreement with the CPU, from files, the start of explain.py

Every competitor runs in its own process, and they take turns. Times are medians of whole calls after one that is
not counted; compilation is apart. Models whose weights are not here get random ones. Writes a CSV and prints
Markdown tables. What a survey has no time for, or what is not installed, is named in them.
"""

import dataclasses
import sys
from collections.abc import Sequence

from absl import app, flags, logging

from gradcam_jax.engine.precision import PRECISIONS
from gradcam_jax.errors import InputError
from gradcam_jax.experiments.benchmark import explanations, files, survey
from gradcam_jax.experiments.benchmark.peers import PEERS
from gradcam_jax.experiments.benchmark.work import DEFAULT_WORK, WORK
from gradcam_jax.images.decoder import Decoding

_DEFAULT, _SURVEY = explanations.Options(), survey.Options()
_SURVEYED = flags.DEFINE_bool("survey", False, "Survey the device: the defaults below in brackets are then taken.")
_MODELS = flags.DEFINE_list("models", list(_DEFAULT.models), f"Names of models [{','.join(_SURVEY.models)}].")
_WORK = flags.DEFINE_list("work", list(DEFAULT_WORK), f"Kinds of work: {', '.join(WORK)}.")
_BATCH_SIZES = flags.DEFINE_list(
    "batch_sizes",
    ["1", "8"],
    f"Photos a call [{','.join(map(str, _SURVEY.batch_sizes))}: the first for every kind of work].",
)
_PRECISIONS = flags.DEFINE_list(
    "precisions", list(_DEFAULT.precisions), f"Of the trunk: {', '.join(PRECISIONS)} [all that the device has]."
)
_PEERS = flags.DEFINE_bool("peers", False, "Whether the peers do the same work beside it.")
_ROUNDS = flags.DEFINE_integer(
    "rounds", _DEFAULT.rounds, f"Calls timed of each competitor [{_SURVEY.rounds}].", lower_bound=1
)
_MOST = flags.DEFINE_float(
    "most_seconds",
    _DEFAULT.most_seconds,
    f"After this a task gets no further round [{_SURVEY.most_seconds:.0f}].",
)
_MATRIX = flags.DEFINE_integer("matrix", _DEFAULT.matrix, f"Rows of the multiplied matrices [{_SURVEY.matrix}].")
_IMAGES = flags.DEFINE_string("images", "", "Time the way from these files instead, as explain.py takes them.")
_COUNT = flags.DEFINE_integer("count", 0, "So many of the files, again and again. Default: each once.")
_RECIPE = flags.DEFINE_string("recipe", "", "From files: the preprocessing. Default: the model's own.")
_FAST = flags.DEFINE_bool("fast_decoding", False, "From files: decode with the extra `fast` too.")
_PARTS = flags.DEFINE_list("parts", list(survey.PARTS), "Of the survey.")
_SECONDS = flags.DEFINE_float("seconds", _SURVEY.seconds, "Of the survey, in all.")
_THREADS = flags.DEFINE_integer(
    "compile_threads", _SURVEY.compile_threads, "Programs that a survey compiles at a time.", lower_bound=1
)
_TRANSFERRED = flags.DEFINE_integer("photos", _SURVEY.photos, "Photos that a survey moves to the device and back.")
_COPIED = flags.DEFINE_integer("megabytes", _SURVEY.megabytes, "What a survey copies on the device.")
_OUT = flags.DEFINE_string("out_path", "", "The CSV file to write. Default: in docs/benchmarks.")


def main(arguments: Sequence[str]) -> None:
    """Turns flags into options and runs the benchmark."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, got {' '.join(arguments[1:])!r}. See --help.")
    logging.set_verbosity(logging.WARNING)
    try:
        sizes = [int(size) for size in _BATCH_SIZES.value]
        if _SURVEYED.value:
            survey.run(_survey_options(sizes), print)
        elif _IMAGES.value:
            files.run(_files_options(sizes), print)
        else:
            explanations.run(_explanations_options(sizes), print)
    except InputError as error:
        sys.exit(f"benchmark.py: {error}")


def _explanations_options(sizes: Sequence[int]) -> explanations.Options:
    return explanations.Options(
        models=_MODELS.value,
        work=_WORK.value,
        batch_sizes=sizes,
        precisions=_PRECISIONS.value,
        peers=PEERS if _PEERS.value else (),
        rounds=_ROUNDS.value,
        most_seconds=_MOST.value,
        matrix=_MATRIX.value,
        out_path=_OUT.value or _DEFAULT.out_path,
    )


def _survey_options(sizes: Sequence[int]) -> survey.Options:
    shared = {
        "models": _MODELS, "work": _WORK, "precisions": _PRECISIONS, "rounds": _ROUNDS, "most_seconds": _MOST,
        "matrix": _MATRIX, "images": _IMAGES, "count": _COUNT, "parts": _PARTS, "seconds": _SECONDS,
        "compile_threads": _THREADS, "photos": _TRANSFERRED, "megabytes": _COPIED, "out_path": _OUT,
    }  # fmt: skip
    options = {name: flag.value for name, flag in shared.items() if flag.present}
    return dataclasses.replace(_SURVEY, **options | ({"batch_sizes": sizes} if _BATCH_SIZES.present else {}))


def _files_options(sizes: Sequence[int]) -> files.Options:
    return files.Options(
        images=_IMAGES.value,
        model=_MODELS.value[0] if _MODELS.present else files.Options.model,
        recipe=_RECIPE.value,
        dtype=_PRECISIONS.value[0],
        decoding=Decoding(fast=_FAST.value),
        batch_size=sizes[-1] if _BATCH_SIZES.present else files.Options.batch_size,
        count=_COUNT.value or None,
        rounds=_ROUNDS.value,
        out_path=_OUT.value or files.Options.out_path,
    )


if __name__ == "__main__":
    app.run(main)

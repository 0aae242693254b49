"""Measures how fast each model is explained, and how fast the peers do the same work.

  python scripts/benchmark.py
      every model and kind of work here, on the device that JAX has
  python scripts/benchmark.py --peers --models vgg16 --batch_sizes 8
      the same beside torch, captum, torch-cam and pytorch-grad-cam (extra `oracle`)
  python scripts/benchmark.py --images photos/
      the way from files: decoding in threads and processes, and a whole run beside its compiled function

Every competitor runs in its own process, and they take turns. Times are medians of whole calls after one that is
not counted; compilation is apart. Models whose weights are not here get random ones. Writes a CSV and prints
Markdown tables.
"""

import sys
from collections.abc import Sequence

from absl import app, flags, logging

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.benchmark import explanations, files
from gradcam_jax.experiments.benchmark.peers import PEERS
from gradcam_jax.experiments.benchmark.work import WORK

_DEFAULT = explanations.Options()
_MODELS = flags.DEFINE_list("models", list(_DEFAULT.models), "Names of models.")
_WORK = flags.DEFINE_list("work", list(WORK), f"Kinds of work: {', '.join(WORK)}.")
_BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["1", "8"], "Photos a call.")
_PEERS = flags.DEFINE_bool("peers", False, "Whether the peers do the same work beside it.")
_ROUNDS = flags.DEFINE_integer("rounds", _DEFAULT.rounds, "Calls timed of each competitor.", lower_bound=1)
_SECONDS = flags.DEFINE_float("most_seconds", _DEFAULT.most_seconds, "After this a task gets no further round.")
_IMAGES = flags.DEFINE_string("images", "", "Time the way from these files instead, as explain.py takes them.")
_COUNT = flags.DEFINE_integer("count", 0, "At most so many of the files. Default: all (of decoding, 200).")
_OUT = flags.DEFINE_string("out_path", "", "The CSV file to write. Default: in docs/benchmarks.")


def main(arguments: Sequence[str]) -> None:
    """Turns flags into options and runs the benchmark."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, got {' '.join(arguments[1:])!r}. See --help.")
    logging.set_verbosity(logging.WARNING)
    try:
        sizes = [int(size) for size in _BATCH_SIZES.value]
        if _IMAGES.value:
            files.run(_files_options(sizes), print)
            return
        options = explanations.Options(
            models=_MODELS.value,
            work=_WORK.value,
            batch_sizes=sizes,
            peers=PEERS if _PEERS.value else (),
            rounds=_ROUNDS.value,
            most_seconds=_SECONDS.value,
            out_path=_OUT.value or _DEFAULT.out_path,
        )
        explanations.run(options, print)
    except InputError as error:
        sys.exit(f"benchmark.py: {error}")


def _files_options(sizes: Sequence[int]) -> files.Options:
    return files.Options(
        images=_IMAGES.value,
        model=_MODELS.value[0] if _MODELS.present else files.Options.model,
        batch_size=sizes[-1] if _BATCH_SIZES.present else files.Options.batch_size,
        count=_COUNT.value or None,
        rounds=_ROUNDS.value,
        out_path=_OUT.value or files.Options.out_path,
    )


if __name__ == "__main__":
    app.run(main)

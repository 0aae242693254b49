"""Measures how fast each model is explained, and how fast the peers do the same work.

  python scripts/benchmark.py
      every model and kind of work here, on the device that JAX has
  python scripts/benchmark.py --peers --models vgg16 --batch_sizes 8
      the same beside torch, captum, torch-cam and pytorch-grad-cam (extra `oracle`)

Every competitor runs in its own process, and they take turns. Times are medians of whole calls after one that is
not counted; compilation is apart. Models whose weights are not here get random ones. Writes a CSV and prints
Markdown tables.
"""

import sys
from collections.abc import Sequence

from absl import app, flags, logging

from gradcam_jax.benchmark.peers import PEERS
from gradcam_jax.benchmark.work import WORK
from gradcam_jax.commands import benchmark
from gradcam_jax.errors import InputError

_DEFAULT = benchmark.Options()
_MODELS = flags.DEFINE_list("models", list(_DEFAULT.models), "Names of models.")
_WORK = flags.DEFINE_list("work", list(WORK), f"Kinds of work: {', '.join(WORK)}.")
_BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["1", "8"], "Photos a call.")
_PEERS = flags.DEFINE_bool("peers", False, "Whether the peers do the same work beside it.")
_ROUNDS = flags.DEFINE_integer("rounds", _DEFAULT.rounds, "Calls timed of each competitor.", lower_bound=1)
_SECONDS = flags.DEFINE_float("most_seconds", _DEFAULT.most_seconds, "After this a task gets no further round.")
_OUT = flags.DEFINE_string("out_path", _DEFAULT.out_path, "The CSV file to write.")


def main(arguments: Sequence[str]) -> None:
    """Turns flags into options and runs the benchmark."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, got {' '.join(arguments[1:])!r}. See --help.")
    logging.set_verbosity(logging.WARNING)
    try:
        sizes = [int(size) for size in _BATCH_SIZES.value]
        options = benchmark.Options(
            models=_MODELS.value,
            work=_WORK.value,
            batch_sizes=sizes,
            peers=PEERS if _PEERS.value else (),
            rounds=_ROUNDS.value,
            most_seconds=_SECONDS.value,
            out_path=_OUT.value,
        )
        benchmark.run(options, print)
    except InputError as error:
        sys.exit(f"benchmark.py: {error}")


if __name__ == "__main__":
    app.run(main)

"""Compares two runs over the same images: predictions, peaks, rank correlations and differences of the maps.

python scripts/explain.py --images DIR --out_path exact
python scripts/explain.py --images DIR --out_path rounded --dtype bfloat16
python scripts/compare_runs.py rounded exact
    tells what bfloat16 changes; tensorfloat32, other devices and --scaled_decoding are compared in the same way
"""

import json
import sys
from collections.abc import Sequence

from absl import app, logging

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.evaluators.runs import compare


def main(arguments: Sequence[str]) -> None:
    """Compares the run named first with the one named second."""
    if len(arguments) != 3:
        raise app.UsageError("Expected two folders of runs: the run, and what it should be like.")
    logging.set_verbosity(logging.WARNING)  # JAX reports every accelerator that it did not find
    try:
        print(json.dumps(compare(*arguments[1:]), indent=2))
    except InputError as error:
        sys.exit(f"compare_runs.py: {error}")


if __name__ == "__main__":
    app.run(main)

"""Makes the report of a run over many photos: a folder of HTML pages that open from disk, without a server.

  python scripts/report.py RUN
      RUN/report/index.html: counts, failures, times, a gallery to search and filter, each photo with its maps
  python scripts/report.py RUN --photos PHOTOS
      finds the photos, by their ids, where they lie now
  python scripts/report.py RUN --csv RUN.csv
      the run as a table, too: a row for each explained target

The run may go on meanwhile; the same command again adds what is new. No model is loaded.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags, logging

from gradcam_jax.app.reporting import report_run
from gradcam_jax.app.start import say, speak_any_language
from gradcam_jax.errors import InputError
from gradcam_jax.pipeline import open_run

_OUT_PATH = flags.DEFINE_string("out_path", "", "The report's folder. Default: report, in the run's folder.")
_PHOTOS = flags.DEFINE_string("photos", "", "A folder with the photos. Default: where the run found them.")
_TITLE = flags.DEFINE_string("title", "", "The pages' title. Default: the run's folder.")
_CSV = flags.DEFINE_string("csv", "", "A file for the run as a table. Default: none.")


def main(arguments: Sequence[str]) -> None:
    """Reports on the run that is named."""
    speak_any_language()
    if len(arguments) != 2:
        raise app.UsageError(f"Expected one folder of a run, got {len(arguments) - 1}. See --help.")
    logging.set_verbosity(logging.WARNING)  # JAX reports every accelerator that it did not find
    try:
        run = open_run(Path(arguments[1]).expanduser())
        folder, photos = (Path(flag.value).expanduser() if flag.value else None for flag in (_OUT_PATH, _PHOTOS))
        report_run(run, say, folder=folder, photos=photos, title=_TITLE.value)
        if _CSV.value:
            say(f"table: {run.to_csv(Path(_CSV.value).expanduser())}")
    except InputError as error:
        sys.exit(f"report.py: {error}")


if __name__ == "__main__":
    app.run(main)

"""Serves a web page for the three tasks: drop a photo, ask, and see why the model said what it said.

python scripts/demo.py
    listens on this machine alone, at http://127.0.0.1:8765/
python scripts/demo.py --host 0.0.0.0 --port 80
    listens to everyone who can reach this machine

Nothing is sent anywhere, and nothing is written: photos stay in memory, and are forgotten when the visitor leaves.
"""

import sys
from collections.abc import Sequence

from absl import app, flags, logging

from gradcam_jax.app.page import PageOptions, serve_page
from gradcam_jax.app.start import use_compilation_cache
from gradcam_jax.errors import InputError

_HOST = flags.DEFINE_string("host", PageOptions.host, "The address to listen at; 0.0.0.0 is every address.")
_PORT = flags.DEFINE_integer("port", PageOptions.port, "The port; 0: any that is free.", lower_bound=0)
_MEGABYTES = flags.DEFINE_float("megabytes", PageOptions.megabytes, "Of a photo's file, at most.")
_MEGAPIXELS = flags.DEFINE_float("megapixels", PageOptions.megapixels, "Of a photo, at most.")
_OPEN = flags.DEFINE_bool("open", PageOptions.open_browser, "Open a browser.")
_WARM_UP = flags.DEFINE_bool("warm_up", PageOptions.warm_up, "Compile what a first visitor needs at the start.")


def main(arguments: Sequence[str]) -> None:
    """Turns flags into options and serves."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, got {' '.join(arguments[1:])!r}. See --help.")
    logging.set_verbosity(logging.WARNING)
    use_compilation_cache()
    options = PageOptions(
        _HOST.value, _PORT.value, _MEGABYTES.value, _MEGAPIXELS.value, _OPEN.value, _WARM_UP.value
    )
    try:
        serve_page(options, lambda line: print(line, flush=True))
    except InputError as error:
        sys.exit(f"demo.py: {error}")


if __name__ == "__main__":
    app.run(main)

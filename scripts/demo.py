"""Serves a web page for the three tasks: drop a photo, ask, and see why the model said what it said.

python scripts/demo.py
    listens on this machine alone, at http://127.0.0.1:8765/
python scripts/demo.py --model my_models:make --checkpoint weights.safetensors --labels names.txt
    offers a model of your own first
python scripts/demo.py --host 0.0.0.0 --port 80
    listens to everyone who can reach this machine

Nothing is sent anywhere, and nothing is written: photos stay in memory, and are forgotten when the visitor leaves.
"""

import sys
from collections.abc import Sequence

from absl import app, flags, logging

from gradcam_jax.app.options import Options
from gradcam_jax.app.page import PageOptions, serve_page
from gradcam_jax.app.start import use_compilation_cache
from gradcam_jax.errors import InputError
from gradcam_jax.zoo import DEFAULTS

_HOST = flags.DEFINE_string("host", PageOptions.host, "The address to listen at; 0.0.0.0 is every address.")
_PORT = flags.DEFINE_integer("port", PageOptions.port, "The port; 0: any that is free.", lower_bound=0)
_MEGABYTES = flags.DEFINE_float("megabytes", PageOptions.megabytes, "Of a photo's file, at most.")
_MEGAPIXELS = flags.DEFINE_float("megapixels", PageOptions.megapixels, "Of a photo, at most.")
_OPEN = flags.DEFINE_bool("open", PageOptions.open_browser, "Open a browser.")
_WARM_UP = flags.DEFINE_bool("warm_up", PageOptions.warm_up, "Compile what a first visitor needs at the start.")
_TASK = flags.DEFINE_enum("task", Options.task, list(DEFAULTS), "What --model does.")
_MODEL = flags.DEFINE_string("model", "", "A model of your own, offered first; as for explain.py.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "", "Its weights, unless it has its own.")
_LABELS = flags.DEFINE_string("labels", "", "Its classes' names.")
_RECIPE = flags.DEFINE_string("recipe", "", "Its preprocessing.")
_LAYER = flags.DEFINE_string("layer_name", "", "Its layer to map.")
_SIZE = flags.DEFINE_integer("input_sz", 0, "Side of its image, in pixels.")


def main(arguments: Sequence[str]) -> None:
    """Turns flags into options and serves."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, got {' '.join(arguments[1:])!r}. See --help.")
    logging.set_verbosity(logging.WARNING)
    use_compilation_cache()
    try:
        own = _own()
        options = PageOptions(
            _HOST.value, _PORT.value, _MEGABYTES.value, _MEGAPIXELS.value, _OPEN.value, _WARM_UP.value, own
        )
        serve_page(options, lambda line: print(line, flush=True))
    except InputError as error:
        sys.exit(f"demo.py: {error}")


def _own() -> Options | None:
    about = {
        "checkpoint": _CHECKPOINT.value,
        "labels": _LABELS.value,
        "recipe": _RECIPE.value,
        "layer_name": _LAYER.value,
        "input_sz": _SIZE.value,
    }
    if not _MODEL.value:
        for name, value in about.items():
            if value:
                raise InputError(f"--{name} is about --model, which was not given.")
        return None
    return Options(task=_TASK.value, model=_MODEL.value, **about)


if __name__ == "__main__":
    app.run(main)

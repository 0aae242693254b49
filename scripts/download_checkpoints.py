"""Downloads the published weights that this project's models are made from, and converts them.

  python scripts/download_checkpoints.py --list
  python scripts/download_checkpoints.py vgg16 alexnet
  python scripts/download_checkpoints.py vgg16 --from_file ~/Downloads/VGG_ILSVRC_16_layers.caffemodel

A download that was stopped continues where it stopped. Files are checked against their published length and
digest before they get their name, and then converted to checkpoints/NAME.safetensors. Without a network, fetch
the addresses that --list prints on another machine, and name each file with --from_file.
"""

import pathlib
import sys

from absl import app, flags, logging

from gradcam_jax.app import conversion
from gradcam_jax.app.progress import byte_bar
from gradcam_jax.app.published_files import gather, listing
from gradcam_jax.errors import InputError
from gradcam_jax.zoo import MODELS, find

_LIST = flags.DEFINE_bool(
    "list", False, "Print the models and the published files that they are made from; download none."
)
_FROM_FILE = flags.DEFINE_multi_string(
    "from_file", [], "A file fetched by other means, used instead of a download. May be given several times."
)
_CONVERT = flags.DEFINE_bool("convert", True, "Convert the files when they are here; --noconvert only downloads.")
_FOLDER = flags.DEFINE_string("folder", "checkpoints/downloads", "Where the downloaded files are kept.")


def main(arguments: list[str]) -> None:
    """Downloads the named models' files, converts them, and prints where they are."""
    logging.set_verbosity(logging.WARNING)  # JAX reports every accelerator that it did not find
    models, at_hand = arguments[1:], [pathlib.Path(name).expanduser() for name in _FROM_FILE.value]
    try:
        if _LIST.value:
            print(listing())
            return
        if not models:
            published = ", ".join(entry.name for entry in MODELS.values() if entry.sources)
            raise InputError(f"name at least one model: {published} (--list tells more)")
        if at_hand and len(models) > 1:
            raise InputError(f"--from_file goes with one model, got {', '.join(models)}")
        for model in models:
            files = gather(find(model), at_hand, pathlib.Path(_FOLDER.value).expanduser())
            for file in files:
                print(f"{model}: {file}")
            if _CONVERT.value:
                with byte_bar(model) as show:
                    print(f"{model}: {conversion.run(model, files, progress=show)}")
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; run the same command again to continue from here")


if __name__ == "__main__":
    app.run(main)

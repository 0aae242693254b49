"""Turns another program's weights into a checkpoint of this project.

  python scripts/convert_checkpoint.py --model vgg16 VGG_ILSVRC_16_layers.caffemodel
  python scripts/convert_checkpoint.py --model vgg16_torchvision vgg16-397923af.pth
  python scripts/convert_checkpoint.py --model vgg16_torchvision my.pth --labels names.txt
      a network that was trained further, for any number of classes: my.safetensors, for explain.py --model

The format is recognised by what a file holds, not by its name: Caffe's, Torch7's, PyTorch's, safetensors or npz. A
model that is made from several files takes all of them, in any order. Nothing of the file is executed, and none
of those programs is needed. The last layer may have another name, and a prefix such as module. stand before all
names. A Flax checkpoint of the model (safetensors, msgpack, an Orbax folder) is read too. A file's name never
holds anything but a whole checkpoint.
"""

import pathlib
import sys
from collections.abc import Sequence

import tqdm
from absl import app, flags, logging

from gradcam_jax.app import conversion
from gradcam_jax.app.progress import byte_bar
from gradcam_jax.errors import InputError

_MODEL = flags.DEFINE_string("model", None, "The model, by its name in the zoo.", required=True)
_OUT = flags.DEFINE_string(
    "out",
    None,
    "The checkpoint. Default: checkpoints/MODEL.safetensors; of classes of one's own FILE.safetensors, here.",
)
_LABELS = flags.DEFINE_string(
    "labels", "", "The names of the classes, by index: a text file with a name a line, or JSON."
)
_QUIET = flags.DEFINE_bool("quiet", False, "Print nothing but errors.")


def main(arguments: Sequence[str]) -> None:
    """Converts the named files and reports what they hold."""
    logging.set_verbosity(logging.WARNING)  # JAX reports every accelerator that it did not find
    paths = [pathlib.Path(name).expanduser() for name in arguments[1:]]
    try:
        if not paths:
            raise InputError("name the file or files to convert (--help tells more)")
        with byte_bar("writing", hidden=_QUIET.value) as show:
            labels = _LABELS.value and pathlib.Path(_LABELS.value).expanduser()
            conversion.run(_MODEL.value, paths, _OUT.value, labels=labels, say=_say, progress=show)
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; nothing was written")


def _say(line: str) -> None:
    if not _QUIET.value:
        tqdm.tqdm.write(line)


if __name__ == "__main__":
    app.run(main)

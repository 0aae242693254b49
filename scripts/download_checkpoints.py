"""Downloads the published weights that this project's models are made from, and converts them.

  python scripts/download_checkpoints.py --list
  python scripts/download_checkpoints.py vgg16 alexnet
  python scripts/download_checkpoints.py vgg16 --from_file ~/Downloads/VGG_ILSVRC_16_layers.caffemodel

A download that was stopped goes on where it stopped. Files are checked against their published length and
digest before they get their name, and then converted to checkpoints/NAME.safetensors. Without a network, fetch
the addresses that --list prints on another machine, and give each file with --from_file.
"""

import pathlib
import sys
from collections.abc import Sequence

from absl import app, flags, logging

from gradcam_jax.app import conversion
from gradcam_jax.app.progress import byte_bar
from gradcam_jax.downloads.download import download, verify
from gradcam_jax.downloads.sources import SOURCES, Source, model_names, sources_of
from gradcam_jax.downloads.unpack import unpack
from gradcam_jax.errors import InputError
from gradcam_jax.zoo import captioners, question_models
from gradcam_jax.zoo import classifiers as zoo
from gradcam_jax.zoo.checkpoint import read_card
from gradcam_jax.zoo.heads import find_checkpoint

_LIST = flags.DEFINE_bool(
    "list", False, "Print the models and the published files that they are made from; download none."
)
_FROM_FILE = flags.DEFINE_multi_string(
    "from_file", [], "A file fetched by other means, used instead of a download. May be given several times."
)
_CONVERT = flags.DEFINE_bool("convert", True, "Convert the files when they are here; --noconvert only downloads.")
_FOLDER = flags.DEFINE_string("folder", "checkpoints/downloads", "Where the downloaded files are kept.")

# The originals whose size depends on their words: 12,602 and 1,000 answers; 9,567.
PARAMETERS_OF_ORIGINALS = {"vqa_vgg19": 152_972_864, "captioner_vgg16": 148_266_656}


def gather(model: str, given: Sequence[pathlib.Path], folder: pathlib.Path) -> list[pathlib.Path]:
    """Brings together the files that a model is made from, by download where none is given.

    Args:
      model: a name from `model_names()`.
      given: files at hand, known by their names: a published file, or the needed file of an archive.
      folder: where downloads and unpacked files are kept.

    Returns:
      One plain file for each of the model's sources, in the manifest's order.

    Raises:
      InputError: the model is unknown, a given file is missing or is not what was published, or a download
        failed.
    """
    sources = sources_of(model)
    for file in given:
        if not file.is_file():
            raise InputError(f"--from_file {file}: no such file")
        if not any(_is_of(file, source) for source in sources):
            expected = " or ".join(name for source in sources for name in _names(source))
            raise InputError(f"--from_file {file}: {model} is made from {expected}")
    return [_file_of(source, given, folder) for source in sources]


def _names(source: Source) -> tuple[str, ...]:
    return (source.file_name,) if source.member is None else (source.file_name, source.member)


def _is_of(file: pathlib.Path, source: Source) -> bool:
    return any(file.match(name) for name in _names(source))


def _file_of(source: Source, given: Sequence[pathlib.Path], folder: pathlib.Path) -> pathlib.Path:
    file = next((file for file in given if _is_of(file, source)), None)
    if file is None:
        file = _downloaded(source, folder)
    elif file.name == source.file_name:
        verify(file, source)
    else:
        return file  # Already unpacked, so nothing published tells what it should be.
    return file if source.member is None else unpack(file, source.member, folder)


def _downloaded(source: Source, folder: pathlib.Path) -> pathlib.Path:
    with byte_bar(source.file_name, source.size) as show:
        return download(source, folder, progress=show)


def listing() -> str:
    """Describes every known checkpoint, a line each, then every published file, a paragraph each."""
    lines = [f"{'checkpoint':<22}{'task':<16}{'layer':<16}{'size':>9}  {'here':<6}licence"]
    for entry in zoo.ZOO.values():
        size, here = f"{entry.parameters * 4 / 1e6:.1f} MB", zoo.weights_path(entry) is not None
        lines.append(_line(entry.name, entry.task, entry.layer, size, here, entry.licence))
    heads = [("vqa", name, entry.layer) for name, entry in question_models.QUESTION_MODELS.items()]
    heads += [("captioning", name, entry.layer) for name, entry in captioners.CAPTIONERS.items()]
    for task, name, layer in heads:
        path = find_checkpoint(name)
        size = _published_size(name) if path is None else path.stat().st_size
        terms = "; ".join(dict.fromkeys(source.terms for source in SOURCES if name in source.models))
        licence = terms or ("see its card" if path is None else read_card(path).licence)
        lines.append(_line(name, task, layer, f"{size / 1e6:.1f} MB" if size else "", path is not None, licence))
    lines += ["", "published files:"]
    for source in SOURCES:
        size = "size not published" if source.size is None else f"{source.size / 1e6:,.1f} MB"
        digest = (
            "no digest published"
            if source.digest is None
            else f"{source.digest.algorithm} {source.digest.hexadecimal}"
        )
        lines += [
            f"{', '.join(source.models)}: {source.file_name}",
            f"  {size}, {digest}",
            f"  {source.terms}",
        ]
        lines += [f"  {address}" for address in source.addresses]
    return "\n".join(lines)


def _published_size(name: str) -> int:
    return PARAMETERS_OF_ORIGINALS.get(name, 0) * 4  # float32


def _line(name: str, task: str, layer: str, size: str, here: bool, licence: str) -> str:
    return f"{name:<22}{task:<16}{layer:<16}{size:>9}  {'yes' if here else 'no':<6}{licence}"


def convert(model: str, files: Sequence[pathlib.Path]) -> pathlib.Path:
    """Makes a model's checkpoint from its files, with a progress bar, and returns its path."""
    with byte_bar(f"{model}{zoo.CHECKPOINT_SUFFIX}") as show:
        return conversion.run(model, files, progress=show)


def main(arguments: list[str]) -> None:
    """Downloads the named models' files, converts them, and prints where they are."""
    logging.set_verbosity(logging.WARNING)  # JAX reports every accelerator that it did not find
    models, given = arguments[1:], [pathlib.Path(name).expanduser() for name in _FROM_FILE.value]
    try:
        if _LIST.value:
            print(listing())
            return
        if not models:
            raise InputError(f"name at least one model: {', '.join(model_names())} (--list tells more)")
        if given and len(models) > 1:
            raise InputError(f"--from_file goes with one model, got {', '.join(models)}")
        for model in models:
            files = gather(model, given, pathlib.Path(_FOLDER.value).expanduser())
            for file in files:
                print(f"{model}: {file}")
            if _CONVERT.value:
                print(f"{model}: {convert(model, files)}")
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; run the same command again to go on from here")


if __name__ == "__main__":
    app.run(main)

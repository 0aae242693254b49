"""The published files of the zoo's models: what they are, and how they get to this machine."""

from collections.abc import Sequence
from pathlib import Path

from gradcam_jax.app.progress import byte_bar
from gradcam_jax.downloads.download import download, verify
from gradcam_jax.downloads.sources import Source
from gradcam_jax.downloads.unpack import unpack
from gradcam_jax.errors import InputError
from gradcam_jax.zoo.checkpoint import read_card
from gradcam_jax.zoo.entries import Entry
from gradcam_jax.zoo.places import get_command, package_path, weights_path
from gradcam_jax.zoo.table import MODELS


def gather(entry: Entry, files_at_hand: Sequence[Path], folder: Path) -> list[Path]:
    """Returns one plain file for each of a model's sources; those that are not at hand are downloaded.

    Files at hand are known by their names: a published file, or the file that is needed of an archive.

    Raises:
        InputError: If the model has no published files, a file at hand is missing or is not what was published,
            or a download failed.
    """
    if not entry.sources:
        raise InputError(f"{entry.name} has no published files. Get its weights with:  {get_command(entry)}")
    for file in files_at_hand:
        if not file.is_file():
            raise InputError(f"--from_file {file}: no such file")
        if not any(_is_of(file, source) for source in entry.sources):
            expected = " or ".join(name for source in entry.sources for name in _names(source))
            raise InputError(f"--from_file {file}: {entry.name} is made from {expected}")
    return [_file_of(source, files_at_hand, folder) for source in entry.sources]


def listing() -> str:
    """Describes every model, a line each, then every published file, a paragraph each."""
    lines = [f"{'checkpoint':<22}{'task':<16}{'layer':<23}{'size':>9}  {'here':<6}licence"]
    for entry in MODELS.values():
        path = weights_path(entry)
        licence = entry.licence if path in (None, package_path(entry)) else read_card(path).licence
        here = "no" if path is None else "yes"
        lines.append(
            f"{entry.name:<22}{entry.task:<16}{entry.layer:<23}{_size(entry, path):>9}  {here:<6}{licence}"
        )
    lines += ["", "published files:"]
    for source in dict.fromkeys(source for entry in MODELS.values() for source in entry.sources):
        models = ", ".join(entry.name for entry in MODELS.values() if source in entry.sources)
        size = "size not published" if source.size is None else f"{source.size / 1e6:,.1f} MB"
        digest = " ".join(source.digest) if source.digest is not None else "no digest published"
        lines += [f"{models}: {source.file_name}", f"  {size}, {digest}", f"  {source.terms}"]
        lines += [f"  {address}" for address in source.addresses]
    return "\n".join(lines)


def _size(entry: Entry, path: Path | None) -> str:
    if entry.parameters is not None:
        return f"{entry.parameters * 4 / 1e6:.1f} MB"  # float32
    return "" if path is None else f"{path.stat().st_size / 1e6:.1f} MB"


def _names(source: Source) -> tuple[str, ...]:
    return (source.file_name,) if source.member is None else (source.file_name, source.member)


def _is_of(file: Path, source: Source) -> bool:
    return any(file.match(name) for name in _names(source))


def _file_of(source: Source, files_at_hand: Sequence[Path], folder: Path) -> Path:
    file = next((file for file in files_at_hand if _is_of(file, source)), None)
    if file is None:
        with byte_bar(source.file_name, source.size) as show:
            file = download(source, folder, progress=show)
    elif file.name == source.file_name:
        verify(file, source)
    else:
        return file  # Already unpacked: no digest of it is published.
    return file if source.member is None else unpack(file, source.member, folder)

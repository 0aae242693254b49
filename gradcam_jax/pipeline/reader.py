"""Reads a run back, while it goes on or afterwards: ``open_run(folder)["photos/dog.jpg"].arrays["cam"]``."""

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.formats.json_file import read_json
from gradcam_jax.formats.safetensors_file import read_safetensors
from gradcam_jax.pipeline.manifest import OK, parse_line, read_lines
from gradcam_jax.pipeline.store import SETTINGS, SHARDS

_SHARDS_KEPT_OPEN = 32


class Record(NamedTuple):
    """What a run says of one image.

    Attributes:
        fields: Its line of the manifest: ``id, path, status, error, shard, row, prediction, score,
            all_negative``.
        arrays: Its results, read-only views on the shard, or nothing if it failed: ``cam`` (targets, h, w:
            raw, signed, at the layer's resolution), ``scores``, ``targets``, and what else the task gives.
    """

    fields: dict[str, Any]
    arrays: Mapping[str, np.ndarray]


class Run(Mapping[str, Record]):
    """A run, as a mapping from an image's id to its :class:`Record`; the lines and shards stay on disk.

    Attributes:
        folder: The run's folder.
        settings: What was asked, from ``run.json``.
    """

    def __init__(self, folder: str | Path):
        """Reads the manifests' ids.

        Raises:
            InputError: If the folder holds no run.
        """
        self.folder = Path(folder)
        if not (self.folder / SETTINGS).is_file():
            raise InputError(f"Expected a run's folder, with {SETTINGS}, but {str(folder)!r} holds none.")
        self.settings: dict[str, Any] = dict(read_json(self.folder / SETTINGS))
        # An image that was tried again has two lines; the last one counts.
        self._places: dict[str, tuple[Path, int]] = {
            line.fields["id"]: (manifest, line.offset)
            for manifest in sorted(self.folder.glob("manifest*.jsonl"))
            for line in read_lines(manifest)
        }
        self._shard = functools.lru_cache(_SHARDS_KEPT_OPEN)(self._read_shard)

    def __getitem__(self, identifier: str) -> Record:
        """Returns what the run says of an image; an id that it does not know is a KeyError."""
        if identifier not in self._places:
            raise KeyError(f"no image {identifier!r} among the {len(self)} of this run")
        manifest, offset = self._places[identifier]
        with manifest.open("rb") as lines:
            lines.seek(offset)
            fields = parse_line(lines.readline(), manifest, 0)
        if fields["status"] != OK:
            return Record(fields, {})
        arrays = self._shard(fields["shard"])
        return Record(fields, {name: array[fields["row"]] for name, array in arrays.items()})

    def __iter__(self) -> Iterator[str]:
        """Yields the ids, of images that failed too."""
        return iter(self._places)

    def __len__(self) -> int:
        """Returns the number of images, those that failed included."""
        return len(self._places)

    def _read_shard(self, name: str) -> dict[str, np.ndarray]:
        return read_safetensors(self.folder / SHARDS / f"{name}.safetensors")


def open_run(folder: str | Path) -> Run:
    """Opens the results of a run for reading.

    Args:
        folder: The ``--out_path`` of the run.

    Returns:
        A mapping from image id to :class:`Record`.

    Raises:
        InputError: If the folder holds no run.
    """
    return Run(folder)

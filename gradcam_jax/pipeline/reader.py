"""Reads a run back, while it goes on or afterwards: ``open_run(folder)["photos/dog.jpg"].arrays["cam"]``."""

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy

from gradcam_jax.errors import InputError
from gradcam_jax.formats.json_file import read_json
from gradcam_jax.formats.safetensors_file import read_safetensors
from gradcam_jax.formats.storage import is_remote, path_of
from gradcam_jax.pipeline.exports import Part, as_numpy, write_csv, write_zarr
from gradcam_jax.pipeline.manifest import OK, parse_line, read_lines
from gradcam_jax.pipeline.store import SETTINGS, SHARDS

_SHARDS_KEPT_OPEN = 32


class Record(NamedTuple):
    """What a run says of one image.

    Attributes:
        fields: Its line of the manifest: ``id, path, status, error, shard, row``; ``request``, what was asked;
            ``prediction`` and its ``probability``; ``targets``, each with ``name, index, score, probability, rank,
            all_negative`` and the ``place`` of its map; ``predictions``, the highest; of captions ``words``, of
            questions ``tokens``.
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
        self.folder = path_of(folder)
        if not (self.folder / SETTINGS).is_file():
            raise InputError(f"Expected a run's folder, with {SETTINGS}, but {str(folder)!r} holds none.")
        self.settings: dict[str, Any] = dict(read_json(self.folder / SETTINGS))
        # An image that was tried again has two lines; the last one counts.
        self._places: dict[str, tuple[Path, int]] = {
            line.fields["id"]: (manifest, line.offset)
            for manifest in self._manifests()
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
        return self._record(fields)

    def __iter__(self) -> Iterator[str]:
        """Yields the ids, of images that failed too."""
        return iter(self._places)

    def __len__(self) -> int:
        """Returns the number of images, those that failed included."""
        return len(self._places)

    def records(self) -> Iterator[Record]:
        """Yields every image's record in the manifests' order, many times as fast as by their ids."""
        for manifest in self._manifests():
            for line in read_lines(manifest):
                if self._places.get(line.fields["id"]) == (manifest, line.offset):
                    yield self._record(line.fields)

    def of_path(self, path: str | Path) -> list[Record]:
        """Returns the records of one photo: several where a list asks several things of it.

        Args:
            path: The photo's file; or the end of its path, such as ``"dogs/boxer.jpg"``.

        Example:
            >>> run = open_run("run")  # doctest: +SKIP
            >>> [record.fields["request"] for record in run.of_path("photos/boxer.jpg")]  # doctest: +SKIP
        """
        whole, end = os.path.abspath(path), os.path.join(os.sep, path)
        records = list(self.records())
        exact = [record for record in records if record.fields["path"] == whole]
        return exact or [record for record in records if (record.fields["path"] or "").endswith(end)]

    def to_csv(self, path: str | Path) -> Path:
        """Writes a table, a row for each explained target of each image: see :func:`exports.write_csv`."""
        return write_csv(self.records(), Path(path))

    def to_numpy(self, names: Sequence[str] = ()) -> dict[str, np.ndarray]:
        """Returns the results of all images that were explained, in memory.

        Args:
            names: Which arrays; all if left out.

        Returns:
            Name -> ``(images, ...)``, as :class:`Record` has them for one; and ``id``, the images' ids.

        Raises:
            InputError: If there is no such array.
        """
        return as_numpy(self._shards(), names)

    def to_zarr(self, path: str | Path, names: Sequence[str] = ()) -> Path:
        """Writes the results of all images that were explained as a Zarr group, a shard at a time.

        Args:
            path: The group's folder; what is there is replaced.
            names: Which arrays; all if left out.

        Raises:
            InputError: If there is no such array, or the library is missing.
        """
        return write_zarr(self._shards(), names, Path(path), self.settings)

    def _manifests(self) -> list[Path]:
        return sorted(self.folder.glob("manifest*.jsonl"))

    def _record(self, fields: dict[str, Any]) -> Record:
        if fields["status"] != OK:
            return Record(fields, {})
        arrays = self._shard(fields["shard"])
        return Record(fields, {name: array[fields["row"]] for name, array in arrays.items()})

    def _shards(self) -> Iterator[Part]:
        """Yields each shard's ids and arrays, those rows alone that count."""
        rows: dict[str, list[tuple[int, str]]] = {}
        for manifest in self._manifests():
            for line in read_lines(manifest):
                fields = line.fields
                if fields["status"] == OK and self._places.get(fields["id"]) == (manifest, line.offset):
                    rows.setdefault(fields["shard"], []).append((fields["row"], fields["id"]))
        for name, places in rows.items():
            arrays = self._shard(name)
            chosen = [row for row, _ in places]
            yield Part([one for _, one in places], {key: array[chosen] for key, array in arrays.items()})

    def _read_shard(self, name: str) -> dict[str, np.ndarray]:
        path = self.folder / SHARDS / f"{name}.safetensors"
        return safetensors.numpy.load(path.read_bytes()) if is_remote(path) else read_safetensors(path)


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

"""What a run becomes for other programs: a table, arrays in memory, a Zarr group."""

import csv
import importlib
import io
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gradcam_jax.errors import InputError, lookup
from gradcam_jax.formats.whole_file import replacing

_OF_AN_IMAGE: tuple[str, ...] = ("id", "path", "status", "error")
_REQUESTED = ("label", "question", "answer", "caption")
_OF_A_TARGET = ("place", "name", "index", "score", "probability", "rank", "all_negative")
COLUMNS: tuple[str, ...] = (*_OF_AN_IMAGE, *_REQUESTED, "prediction", "prediction_probability", *_OF_A_TARGET)
"""The columns of :func:`write_csv`."""


class Part(NamedTuple):
    """Some of a run's images that were explained.

    Attributes:
        ids: Of the images.
        arrays: Name -> ``(images, ...)``.
    """

    ids: list[str]
    arrays: Mapping[str, np.ndarray]


def write_csv(records: Iterable[Any], path: Path) -> Path:
    """Writes a table: a row for each explained target of each image, one row for an image that failed.

    UTF-8; the first line names the :data:`COLUMNS`.

    Args:
        records: The run's.
        path: The file.
    """
    with replacing(path) as file:
        # File names that are no UTF-8 are written as their bytes.
        text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="", write_through=True)
        table: csv.DictWriter[str] = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
        table.writeheader()
        table.writerows(row for record in records for row in _rows(record.fields))
        text.flush()
        text.detach()
    return path


def as_numpy(parts: Iterator[Part], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns a run's arrays, as :meth:`gradcam_jax.pipeline.reader.Run.to_numpy` does."""
    ids: list[str] = []
    arrays: dict[str, list[np.ndarray]] = {}
    for part in parts:
        ids += part.ids
        for name, array in _chosen(part, names).items():
            arrays.setdefault(name, []).append(array)
    return {"id": np.array(ids, dtype=np.str_), **{name: np.concatenate(found) for name, found in arrays.items()}}


def write_zarr(parts: Iterator[Part], names: Sequence[str], path: Path, settings: Mapping[str, Any]) -> Path:
    """Writes a run's arrays as a Zarr group, as :meth:`gradcam_jax.pipeline.reader.Run.to_zarr` does."""
    try:
        zarr = importlib.import_module("zarr")
    except ImportError as error:
        raise InputError("to_zarr needs the library zarr:  pip install 'zarr>=3'") from error
    written = path.with_name(f".{path.name}.part")
    shutil.rmtree(written, ignore_errors=True)
    group = zarr.open_group(written, mode="w", attributes={"run": json.loads(json.dumps(dict(settings)))})
    ids: list[str] = []
    for part in parts:
        ids += part.ids
        for name, array in _chosen(part, names).items():
            if name in group:
                group[name].append(array)
                continue
            dimensions = ("image", *(f"{name}_{axis}" for axis in range(1, array.ndim)))
            group.create_array(name, data=np.ascontiguousarray(array), dimension_names=dimensions)
    group.attrs["id"] = ids
    if path.is_dir():
        shutil.rmtree(path)
    written.rename(path)
    return path


def _chosen(part: Part, names: Sequence[str]) -> Mapping[str, np.ndarray]:
    return {name: lookup(part.arrays, name, "array") for name in names} if names else part.arrays


def _rows(fields: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    request = fields.get("request") or {}
    image = {name: fields.get(name) for name in (*_OF_AN_IMAGE, "prediction")}
    image |= {name: request.get(name) for name in _REQUESTED}
    image["prediction_probability"] = fields.get("probability")
    for target in fields.get("targets") or [{}]:
        yield {**image, **target}

"""Runs a frozen CNN over many pictures once, and keeps what it returns on disk.

Arrays that memory holds go into one file, :func:`cached`. Features of more photos go into a mapped file that is
gone on with after a break, :func:`feature_file`: rows are written as they are computed, and a note beside the file
tells how many are whole. 82,783 photos of COCO are 1.4 GB of VGG-19's ``relu7``.
"""

import concurrent.futures
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from gradcam_jax import zoo
from gradcam_jax.errors import InputError
from gradcam_jax.experiments.batches import in_batches, padded
from gradcam_jax.experiments.data.views import View, render
from gradcam_jax.formats.whole_file import write_whole
from gradcam_jax.images.preprocessing import to_network
from gradcam_jax.interception.linen import tapped

Encode = Callable[[jax.Array], Mapping[str, jax.Array]]
Arrays = dict[str, np.ndarray]

_DESCRIPTION = "description"
_BATCH = 16
_NOTED_BATCHES = 32  # batches between two notes: what a break costs


def image_encoder(name: str, layer: str) -> Encode:
    """Returns a zoo classifier as a function from RGB in [0, 1] to a layer's features, and logits."""
    loaded = zoo.load(name, task="classification")
    forward = tapped(loaded.model, loaded.variables, layer)

    def encode(image: jax.Array) -> dict[str, jax.Array]:
        logits, activations = forward({}, to_network(image, loaded.entry.preprocessing))
        return {"features": activations[layer], "logits": logits}

    return jax.vmap(encode)


def encode_views(
    encode: Encode, views: Sequence[View], size: int, report: Callable[[int], None] = lambda _done: None
) -> Arrays:
    """Runs a function, compiled once, over the pixels of views: name -> array with a row for each view."""
    compiled = jax.jit(encode)

    def run(rows: np.ndarray) -> Mapping[str, np.ndarray]:
        outputs = compiled(np.stack([render(views[row], size) for row in rows]))
        arrays = {name: np.asarray(values) for name, values in outputs.items()}
        report(int(rows[-1]) + 1)
        return arrays

    return in_batches(run, np.arange(len(views)), batch_size=_BATCH)


def digest_of(description: Mapping[str, Any]) -> str:
    """Returns the SHA-256 digest, in hex, of what arrays depend on: plain JSON values."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def cached(path: Path, description: Mapping[str, Any], compute: Callable[[], Arrays]) -> Arrays:
    """Returns the arrays in a file if they are of this description, plain JSON values; else makes the file."""
    digest = digest_of(description)
    if path.is_file():
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                if (file.metadata() or {}).get(_DESCRIPTION) == digest:
                    return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, safetensors.SafetensorError):
            pass  # A file that cannot be read is no cache: it is made again.
    arrays = compute()
    write_whole(path, safetensors.numpy.save(arrays, metadata={_DESCRIPTION: digest}))
    return arrays


def feature_file(
    folder: str | os.PathLike[str],
    description: Mapping[str, Any],
    encode: Callable[[jax.Array], jax.Array],
    image_at: Callable[[int], np.ndarray],
    count: int,
    *,
    batch_size: int = 32,
    report: Callable[[int], None] = lambda _done: None,
) -> np.ndarray:
    """Returns photos' features ``(count, k)`` from a mapped file, after computing the rows that it lacks.

    The file is named after ``description``, plain JSON values: all that the features depend on. ``encode`` maps a
    batch of images to ``(b, k)`` and is compiled once; ``image_at`` decodes a photo, and is called from several
    threads. Rows are read from disk when they are indexed; after an error those computed before are kept.
    """
    if count < 1:
        raise InputError("Expected at least one photo, got none.")
    path = Path(folder) / f"features_{digest_of(description)[:16]}.npy"
    done = _rows_done(path)
    if done < count:
        path.parent.mkdir(parents=True, exist_ok=True)
        compiled = jax.jit(encode)
        with concurrent.futures.ThreadPoolExecutor() as pool:

            def features_at(start: int) -> jax.Array:
                images = list(pool.map(image_at, range(start, min(start + batch_size, count))))
                return compiled(jnp.asarray(padded(np.asarray(images, np.float32), batch_size)))

            _write_rows(path, features_at, count, done, batch_size, report)
    report(count)
    return np.load(path, mmap_mode="r")


def _write_rows(
    path: Path,
    features_at: Callable[[int], jax.Array],
    count: int,
    done: int,
    batch_size: int,
    report: Callable[[int], None],
) -> None:
    features = features_at(done)
    if done:
        rows = np.lib.format.open_memmap(path, "r+")
    else:
        rows = np.lib.format.open_memmap(path, "w+", np.float32, (count, features.shape[-1]))
    try:
        for batch, start in enumerate(range(done, count, batch_size), 1):
            end = min(start + batch_size, count)
            # The next photos are decoded while the device works on these.
            following = features_at(end) if end < count else features
            rows[start:end] = np.asarray(features)[: end - start]
            features, done = following, end
            report(end)
            if batch % _NOTED_BATCHES == 0:
                _note(path, rows, done)
    finally:
        _note(path, rows, done)


def _note(path: Path, rows: np.memmap, done: int) -> None:
    rows.flush()
    write_whole(path.with_suffix(".json"), json.dumps({"done": done, "of": len(rows)}))


def _rows_done(path: Path) -> int:
    """Returns how many rows a break has left whole; none if file or note is missing."""
    note = path.with_suffix(".json")
    return int(json.loads(note.read_text(encoding="utf-8"))["done"]) if path.is_file() and note.is_file() else 0

"""A frozen CNN's features of more photos than memory holds: one mapped file, gone on with after a break.

What ``features.py`` keeps whole, this keeps on disk: 82,783 photos of COCO are 1.4 GB of VGG-19's
``relu7``. Rows are written as they are computed, and a note beside the file tells how many are whole.
"""

import concurrent.futures
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.batches import padded
from gradcam_jax.experiments.data.features import digest_of
from gradcam_jax.formats.whole_file import write_whole

_NOTED_BATCHES = 32  # batches between two notes: what a break costs


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
    """Returns the features of photos, from the file if it has them all; else computes the rows that it lacks.

    Args:
        folder: Where the file lies, under a name made from the description.
        description: What the features depend on, as plain JSON values: the photos, the size, the model.
        encode: From a batch of images ``(b, H, W, 3)`` to features ``(b, k)``; compiled once.
        image_at: Decodes the photo of an index; called from several threads.
        count: How many photos.
        batch_size: Photos at once.
        report: Called with the number of photos done.

    Returns:
        ``(count, k)`` float32, mapped read-only: rows are read from disk when they are indexed.

    Raises:
        InputError: If there are no photos, or one cannot be read; rows already computed are kept.
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

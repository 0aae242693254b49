"""Runs a frozen CNN over many pictures once, and keeps what it returns on disk."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors
import safetensors.numpy

from gradcam_jax import zoo
from gradcam_jax.experiments.batches import in_batches
from gradcam_jax.experiments.data.views import View, render
from gradcam_jax.formats.whole_file import write_whole
from gradcam_jax.images.preprocessing import to_network
from gradcam_jax.interception.linen import tapped

Encode = Callable[[jax.Array], Mapping[str, jax.Array]]
Arrays = dict[str, np.ndarray]

_DESCRIPTION = "description"
_BATCH = 16


def image_encoder(name: str, layer: str) -> Encode:
    """Returns a zoo model, with its weights, as a function from images to one layer and the logits.

    Args:
        name: A classifier of the zoo.
        layer: The layer kept, for example ``"pool"``.

    Returns:
        ``encode(images) -> {"features": (n, ..., k), "logits": (n, classes)}``, images being RGB in [0, 1] of
        shape ``(n, H, W, 3)``.
    """
    loaded = zoo.load(name, task="classification")
    forward = tapped(loaded.model, loaded.variables, layer)

    def encode(image: jax.Array) -> dict[str, jax.Array]:
        logits, activations = forward({}, to_network(image, loaded.entry.preprocessing))
        return {"features": activations[layer], "logits": logits}

    return jax.vmap(encode)


def encode_views(
    encode: Encode, views: Sequence[View], size: int, report: Callable[[int], None] = lambda _done: None
) -> Arrays:
    """Runs a function over the pixels of views, which are rendered as they are needed.

    Args:
        encode: From a batch of images ``(n, H, W, 3)`` to named arrays with the same leading axis; compiled once.
        views: At least one.
        size: Side of the pictures, in pixels.
        report: Called with the number of views done.

    Returns:
        Name -> array with a row for each view.

    Raises:
        InputError: If there are no views.
    """
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
    """Returns the arrays in a file if they are of this description, else computes and writes them.

    Args:
        path: A safetensors file; written whole or not at all.
        description: What the arrays depend on, as plain JSON values: the images' names, the size, the model.
        compute: Makes the arrays.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "squares.safetensors"
        >>> _ = cached(path, {"of": [1, 2]}, lambda: {"squares": np.array([1, 4])})
        >>> cached(path, {"of": [1, 2]}, lambda: 1 / 0)["squares"].tolist()
        [1, 4]
    """
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

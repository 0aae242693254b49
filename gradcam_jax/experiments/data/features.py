"""Runs a frozen CNN over many images once, and keeps what it returns on disk."""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from gradcam_jax import zoo
from gradcam_jax.errors import InputError
from gradcam_jax.experiments.batches import padded
from gradcam_jax.formats.whole_file import write_whole
from gradcam_jax.images.preprocessing import to_network
from gradcam_jax.interception.linen import tapped

Encode = Callable[[jax.Array], Mapping[str, jax.Array]]
Arrays = dict[str, np.ndarray]

_DESCRIPTION = "description"


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


def encode_images(
    encode: Encode,
    images: Iterable[np.ndarray],
    count: int,
    *,
    batch_size: int = 16,
    report: Callable[[int], None] = lambda _done: None,
) -> Arrays:
    """Runs a function over images in batches of one shape, so that it is compiled once.

    Args:
        encode: From a batch of images to named arrays with the same leading axis.
        images: ``count`` arrays of one shape, ``(H, W, 3)``; read as they are needed.
        count: How many.
        batch_size: Images at once; the last batch is padded.
        report: Called with the number of images done.

    Returns:
        Name -> array of ``count`` rows, float32.

    Raises:
        InputError: If there are fewer images than said, or none.
    """
    if count < 1:
        raise InputError("Expected at least one image, got none.")
    compiled, waiting = jax.jit(encode), iter(images)
    results: Arrays = {}
    for start in range(0, count, batch_size):
        end = min(start + batch_size, count)
        rows = list(itertools.islice(waiting, end - start))
        if len(rows) < end - start:
            raise InputError(f"Expected {count} images, got {start + len(rows)} instead.")
        batch = padded(np.asarray(rows, np.float32), batch_size)
        for name, values in compiled(jnp.asarray(batch)).items():
            if name not in results:
                results[name] = np.empty((count, *values.shape[1:]), np.float32)
            results[name][start:end] = np.asarray(values)[: end - start]
        report(end)
    return results


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

"""Images of a TensorFlow Datasets split, read by number and without TensorFlow."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from gradcam_jax.batch.items import Item
from gradcam_jax.errors import InputError


def read_tfds(name: str) -> Iterator[Item]:
    """Streams a split.

    Args:
        name: ``"NAME/SPLIT"`` or ``"NAME/CONFIG/SPLIT"``; a slice such as ``"imagenet_v2/test[:100]"`` works.

    Raises:
        InputError: If the library is not here, or the data set is unknown, has no such split, or was not
            prepared on this machine; nothing is downloaded.
    """
    dataset, slash, split = name.rpartition("/")
    if not slash or not dataset or not split:
        raise InputError(f"Expected tfds:NAME/SPLIT, such as tfds:imagenet_v2/test, got 'tfds:{name}' instead.")
    source = _data_source(dataset, split)
    for index in range(len(source)):
        yield Item(f"{split}/{index:08d}", f"tfds:{name}#{index}", pixels=_pixels_of(source, index))


def _pixels_of(source: Any, index: int) -> Any:
    """Returns what reads one photo, when it is its turn and in the thread that decodes it."""

    def pixels() -> np.ndarray:
        features = source[index]
        image = np.asarray(features.get("image")) if "image" in features else None
        if image is None or image.ndim != 3 or image.dtype != np.uint8:
            found = ", ".join(sorted(map(str, features)))
            raise InputError(f"Expected a feature 'image', uint8 (H, W, channels), found: {found}.")
        return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image[..., :3]

    return pixels


def _data_source(dataset: str, split: str) -> Any:
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise InputError("Data sets need tensorflow-datasets:  pip install 'gradcam-jax[train]'") from error
    try:
        builder: Any = tfds.builder(dataset)
        if split.partition("[")[0] not in builder.info.splits:
            known = ", ".join(builder.info.splits) or "none: it was not prepared here"
            raise InputError(
                f"The data set {dataset!r} has no split {split!r} on this machine (there are: {known}). "
                f"Prepare it once:  tfds build {dataset} --file_format=array_record"
            )
        return builder.as_data_source(split=split)
    except tfds.core.DatasetNotFoundError as error:
        raise InputError(f"There is no data set {dataset!r} in TensorFlow Datasets: {error}") from error
    except (NotImplementedError, ValueError, OSError) as error:
        raise InputError(
            f"The data set {dataset!r} cannot be read by number: {error} "
            f"Prepare it for that once:  tfds build {dataset} --file_format=array_record"
        ) from error

"""TensorFlow Datasets that are on this machine already, opened without TensorFlow; nothing is downloaded."""

# Libraries of an extra, which need not be here for the package to be checked.
# pyright: reportMissingImports=false

import functools
import os
from pathlib import Path
from typing import Any

import numpy as np

from gradcam_jax.errors import InputError

PREFIX = "tfds:"
"""What tells such a source from a folder, as in ``"tfds:coco_captions/2014"``."""


def open_prepared(name: str) -> Any:
    """Opens a prepared dataset.

    Args:
        name: Such as ``"coco_captions/2014"``. It lies in ``$TFDS_DATA_DIR``, else in ``~/tensorflow_datasets``;
            the newest version there is taken.

    Returns:
        Its builder, whose ``as_data_source`` reads records by number.

    Raises:
        InputError: If tensorflow-datasets is not installed, or the dataset is not here in a form that can be read
            without TensorFlow; the message tells the command that prepares it.
    """
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise InputError(
            f"Reading {PREFIX + name!r} needs tensorflow-datasets:  pip install tensorflow-datasets"
        ) from error
    tfds: Any = tensorflow_datasets  # its modules are attributes that a type checker does not see
    folder = Path(os.environ.get("TFDS_DATA_DIR") or tfds.core.constants.DATA_DIR)
    versions = [path.parent for path in (folder / name).glob("*/dataset_info.json")]
    prepare = f"tfds build {name} --file_format=array_record --data_dir={folder}  (needs tensorflow)"
    if not versions:
        raise InputError(f"There is no dataset {name!r} in {str(folder)!r}. Prepare it once:  {prepare}")
    builder: Any = tfds.builder_from_directory(max(versions, key=_version))
    if builder.info.file_format != tfds.core.FileFormat.ARRAY_RECORD:
        written = builder.info.file_format.value
        raise InputError(
            f"{name!r} was written as {written}, which only TensorFlow reads. Prepare it anew:  {prepare}"
        )
    return builder


def read_record(dataset: str, split: str, index: int) -> np.ndarray:
    """Returns the photo of one record, uint8 RGB ``(H, W, 3)``; the split stays open.

    Args:
        dataset: As for :func:`open_prepared`.
        split: Of the dataset; a slice such as ``"test[:100]"`` works.
        index: The record's number in it.
    """
    image = np.asarray(_records(dataset, split)[index]["image"], np.uint8)
    return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image[..., :3]


@functools.lru_cache(maxsize=4)
def _records(dataset: str, split: str) -> Any:
    return open_prepared(dataset).as_data_source(split=split)


def without_decoding() -> Any:
    """Returns the decoder that leaves a feature's bytes as they are."""
    import tensorflow_datasets

    tfds: Any = tensorflow_datasets
    return tfds.decode.SkipDecoding()


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in folder.name.split("."))

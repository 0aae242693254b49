"""Images of a TensorFlow Datasets split, read by number and without TensorFlow."""

import functools
from collections.abc import Iterator

from gradcam_jax.errors import InputError, nearest
from gradcam_jax.images.tfds_source import PREFIX, open_prepared, read_record
from gradcam_jax.pipeline.items import Item


def read_tfds(name: str) -> Iterator[Item]:
    """Streams a split of a dataset that is prepared on this machine.

    Args:
        name: ``"NAME/SPLIT"`` or ``"NAME/CONFIG/SPLIT"``; a slice such as ``"imagenet_v2/test[:100]"`` works.

    Raises:
        InputError: If the dataset is not here, has no such split or no photos; nothing is downloaded.
    """
    dataset, _, split = name.rpartition("/")
    if not dataset or not split:
        raise InputError(
            f"Expected tfds:NAME/SPLIT, such as tfds:imagenet_v2/test, got {PREFIX + name!r} instead."
        )
    builder = open_prepared(dataset)
    splits = list(builder.info.splits)
    if split.partition("[")[0] not in splits:
        near = nearest(split, splits) or splits
        raise InputError(f"The dataset {dataset!r} has no split {split!r}. Nearest: {', '.join(near)}.")
    if "image" not in builder.info.features:
        raise InputError(f"Expected a dataset with a feature 'image', got {', '.join(builder.info.features)}.")
    for index in range(len(builder.as_data_source(split=split))):
        pixels = functools.partial(read_record, dataset, split, index)
        yield Item(f"{split}/{index:08d}", f"{PREFIX}{name}#{index}", pixels=pixels)

"""Captioned photos from COCO's JSON and from Flickr-style tables, and captions as arrays of words."""

import collections
import string
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gradcam_jax.experiments.data.faults import Faults, collected, ids_of, records_of
from gradcam_jax.experiments.data.photos import read_table
from gradcam_jax.formats.json_file import read_json
from gradcam_jax.models.captioner import MAX_WORDS
from gradcam_jax.text.vocabulary import Vocabulary, count_words

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


class CaptionedPhoto(NamedTuple):
    """A photo and what people wrote about it; see :class:`gradcam_jax.experiments.data.photos.Photo`."""

    key: str
    path: Path
    captions: tuple[str, ...]
    load: Callable[[], np.ndarray] | None = None


class CaptionArrays(NamedTuple):
    """Captions as int32 arrays.

    Attributes:
        tokens: ``(captions, MAX_WORDS)``, left-aligned, END past the last word.
        lengths: Words kept of each caption, ``(captions,)``.
        photos: Index of the photo that each caption is of, ``(captions,)``.
    """

    tokens: np.ndarray
    lengths: np.ndarray
    photos: np.ndarray


def read_coco_captions(annotations: Path, folder: Path, faults: Faults | None = None) -> list[CaptionedPhoto]:
    """Reads a COCO ``captions_*.json`` of the photos in a folder; photos without a caption are left out.

    Records at fault are an error that lists them all, or are taken in by ``faults`` and left out.
    """
    content = read_json(annotations, "images", "annotations")
    captions: dict[int, list[str]] = {}
    paths: dict[int, Path] = {}
    with collected(faults) as own:
        for place, image, (number,) in records_of(content, "images", annotations, own, ("id",)):
            if isinstance(image.get("file_name"), str):
                paths[number] = folder / image["file_name"]
            else:
                own.add(place, f"expected a file_name, got {image.get('file_name')!r}")
        left_out = ids_of(content, "images")
        for place, record, (number,) in records_of(content, "annotations", annotations, own, ("image_id",)):
            if not isinstance(record.get("caption"), str):
                own.add(place, f"expected a caption, got {record.get('caption')!r}")
            elif number in paths:
                captions.setdefault(number, []).append(record["caption"])
            elif number not in left_out:  # else the image is the fault
                own.add(place, f"there is no image {number} in the file")
    return [CaptionedPhoto(f"coco/{photo}", paths[photo], tuple(texts)) for photo, texts in captions.items()]


def read_caption_table(table: Path, folder: Path, faults: Faults | None = None) -> list[CaptionedPhoto]:
    """Reads a CSV file with the columns ``file`` (or ``image``) and ``caption``, one caption a line."""
    captions: dict[str, list[str]] = {}
    for _, row in read_table(table, "file", "caption", faults=faults):
        captions.setdefault(row["file"], []).append(row["caption"])
    source = table.parent.name
    return [CaptionedPhoto(f"{source}/{name}", folder / name, tuple(texts)) for name, texts in captions.items()]


def training_words(caption: str) -> list[str]:
    """Splits a caption as neuraltalk2's preprocessing did: lower case, punctuation deleted.

    Example:
        >>> training_words("Two dogs don't fight .")
        ['two', 'dogs', 'dont', 'fight']
    """
    return caption.lower().translate(_NO_PUNCTUATION).split()


def caption_vocabulary(captions: Iterable[str], *, min_count: int = 5) -> Vocabulary:
    """Lists the words that occur at least so often, the most frequent first, and ``UNK`` last.

    neuraltalk2 keeps the words that occur *more* often than its threshold of 5.
    """
    return count_words((training_words(caption) for caption in captions), min_count=min_count)


def often_named(captions: Sequence[str], share: float) -> frozenset[str]:
    """Returns the words that stand in at least so large a share of some captions.

    Example:
        >>> sorted(often_named(["A dog.", "A dog and a cat", "dogs"], 0.5))
        ['a', 'dog']
    """
    counts = collections.Counter(word for caption in captions for word in set(training_words(caption)))
    return frozenset(word for word, count in counts.items() if count >= share * len(captions))


def encode_captions(captions: Sequence[Sequence[str]], vocabulary: Vocabulary) -> CaptionArrays:
    """Turns every photo's captions into word indices; words past the sixteenth are cut off.

    Example:
        >>> arrays = encode_captions([["A dog."], ["A cat!", "cat"]], Vocabulary(["a", "dog", "UNK"]))
        >>> arrays.tokens[:, :3].tolist(), arrays.lengths.tolist(), arrays.photos.tolist()
        ([[0, 1, 3], [0, 2, 3], [2, 3, 3]], [2, 2, 1], [0, 1, 1])
    """
    flat = [(photo, training_words(text)[:MAX_WORDS]) for photo, texts in enumerate(captions) for text in texts]
    tokens = np.full((len(flat), MAX_WORDS), len(vocabulary), np.int32)
    for row, (_, words) in enumerate(flat):
        tokens[row, : len(words)] = [vocabulary.index(word) for word in words]
    lengths = np.array([len(words) for _, words in flat], np.int32)
    return CaptionArrays(tokens, lengths, np.array([photo for photo, _ in flat], np.int32))

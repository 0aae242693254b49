"""Which photos are for training, for choices between models, and for tests: two rules, one for each task.

Both go by a hash of the photo's name. VQA deals photos out within each word by their order, captioning by the
hash's value alone, so a COCO photo may be for tests in one task and for training in the other. Within a task no
photo is in two splits.
"""

import collections
import hashlib
from collections.abc import Sequence
from typing import Literal

from gradcam_jax.experiments.data.photos import Photo

Split = Literal["train", "validation", "test"]

NOTE = (
    "The photos of each task are split by a rule of its own: a COCO photo that is kept for tests here may have "
    "been in training for the other task (VQA, captioning)."
)
"""What the cards of models trained on these photos say of the splits."""


def photos_of(photos: Sequence[Photo], split: Split) -> list[Photo]:
    """Returns VQA's part of some photos: 70 % to train with, 10 % to choose settings by, 20 % to test with.

    Photos are dealt out within each word (a photo of several counts for the rarest), in the order of a hash of
    their keys: so every part has some of every word, and the same photos are always dealt out in the same way.
    """
    words_of = {photo.key: {item.word for item in photo.objects} for photo in photos}
    counts = collections.Counter(word for photo in photos for word in words_of[photo.key])
    groups: dict[str, list[Photo]] = {}
    for photo in photos:
        rarest = min(words_of[photo.key], key=lambda word: (counts[word], word), default="")
        groups.setdefault(rarest, []).append(photo)
    chosen = set()
    for group in groups.values():
        for place, photo in enumerate(sorted(group, key=lambda photo: _hash(photo.key))):
            fraction = (place + 0.5) / len(group)
            part = "train" if fraction < 0.7 else "validation" if fraction < 0.8 else "test"
            if part == split:
                chosen.add(photo.key)
    return [photo for photo in photos if photo.key in chosen]


def split_of(key: str, *, validation: float = 0.06, test: float = 0.08) -> Split:
    """Returns the split of a captioned photo, by its name alone: the same on every machine and in every run.

    Example:
        >>> keys = [f"{number}.jpg" for number in range(10_000)]
        >>> [sum(split_of(key) == split for key in keys) for split in ("train", "validation", "test")]
        [8618, 593, 789]
    """
    place = int.from_bytes(_hash(key)[:4], "big") / 2**32
    return "train" if place < 1 - validation - test else "validation" if place < 1 - test else "test"


def split_of_boxed(key: str) -> Split:
    """Returns the split of a captioned photo whose objects are known too: captions and templates agree on it."""
    return split_of(key, validation=0.1, test=0.2)


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()

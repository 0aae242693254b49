"""How photos are dealt out: two rules, one for each task, neither of which may ever change."""

import hashlib
from pathlib import Path

import pytest

from gradcam_jax.experiments.data.photos import Box, LabelledBox, Photo
from gradcam_jax.experiments.data.splits import photos_of, split_of, split_of_boxed

SPLITS = ("train", "validation", "test")
KEYS = [f"coco/{number}" for number in range(400)]


def _photos(count: int, word: str) -> list[Photo]:
    return [Photo(f"{word}/{i}", Path(), (LabelledBox(word, Box(0, 0, 1, 1)),), False) for i in range(count)]


def _dealt(split_of_key) -> dict[str, list[str]]:
    return {split: [key for key in KEYS if split_of_key(key) == split] for split in SPLITS}


def _digest(parts: dict[str, list[str]]) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def test_every_photo_is_in_one_part_and_every_part_has_every_word():
    photos = [*_photos(50, "dog"), *_photos(20, "cat"), *_photos(10, "yak")]
    parts = {split: photos_of(photos, split) for split in SPLITS}
    assert sorted(photo.key for part in parts.values() for photo in part) == sorted(p.key for p in photos)
    counts = {
        split: [sum(p.objects[0].word == w for p in part) for w in ("dog", "cat", "yak")]
        for split, part in parts.items()
    }
    assert counts == {"train": [35, 14, 7], "validation": [5, 2, 1], "test": [10, 4, 2]}


def test_dealing_does_not_depend_on_the_order():
    photos = [*_photos(30, "dog"), *_photos(9, "cat")]
    keys = {photo.key for photo in photos_of(photos, "test")}
    assert keys == {photo.key for photo in photos_of(photos[::-1], "test")}


def test_photos_are_dealt_out_as_when_the_bundled_models_were_trained():
    """Digests of what the rules returned then: the bundled checkpoints' figures are of these splits."""
    words = ("dog", "cat", "car")
    photos = [
        Photo(key, Path(), tuple(LabelledBox(word, Box(0, 0, 1, 1)) for word in words[: number % 4]), True)
        for number, key in enumerate(KEYS)
    ]
    vqa = {split: [photo.key for photo in photos_of(photos, split)] for split in SPLITS}
    assert _digest(vqa) == "c43d3033ee4f544a"
    assert _digest(_dealt(split_of)) == "dd120b97ca3f9e32"
    assert _digest(_dealt(split_of_boxed)) == "fc94b401cdacffd7"


def test_a_photo_may_be_for_tests_in_one_task_and_for_training_in_the_other():
    photos = [photo for number in range(40) for photo in _photos(5, f"word {number}")]
    tested = {photo.key for photo in photos_of(photos, "test")}
    assert {split_of_boxed(key) for key in tested} == set(SPLITS)


@pytest.mark.parametrize(
    ("split_of_key", "expected"), [(split_of, (0.86, 0.06, 0.08)), (split_of_boxed, (0.7, 0.1, 0.2))]
)
def test_shares(split_of_key, expected):
    shares = [len(keys) / len(KEYS) for keys in _dealt(split_of_key).values()]
    assert shares == pytest.approx(expected, abs=0.05)

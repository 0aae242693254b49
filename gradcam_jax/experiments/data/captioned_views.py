"""What a captioner is trained on: views of photos with what people wrote, and template captions of objects.

Captions written by people teach the language; they rarely name single objects plainly. So photos whose objects
are known (COCO's boxes, labelled folders) and collages of two of them get template captions: "a dog and a cat".
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.captions import CaptionedPhoto, read_caption_table, read_coco_captions
from gradcam_jax.experiments.data.faults import Faults, collected, keep_whole
from gradcam_jax.experiments.data.photos import WHOLE, Photo, subfolders
from gradcam_jax.experiments.data.splits import split_of, split_of_boxed
from gradcam_jax.experiments.data.tfds_captions import PREFIX, read_tfds_captions
from gradcam_jax.experiments.data.views import LAYOUTS, Part, View, collage, training_views, view_of
from gradcam_jax.experiments.data.words import ANIMAL, category_of, with_article
from gradcam_jax.experiments.reporting import Progress

_PLAIN = 0.1  # of the view's area: an object that a caption of one object may be about


class CaptionedView(NamedTuple):
    """A view and its captions: at least one."""

    view: View
    captions: tuple[str, ...]


def read_captioned_photos(
    folder: str | Path, faults: Faults | None = None, *, required: bool = True
) -> dict[str, list[CaptionedPhoto]]:
    """Returns the training, validation and test photos of a folder's captioned sets, or of a TensorFlow dataset.

    A set is a subfolder with ``captions.json`` (COCO) or ``captions.csv`` (``file``, ``caption``) and photos in
    ``images``. COCO's go with the split of their boxes, 70 % for training; of the others 86 % are for training. A
    dataset, such as ``"tfds:coco_captions/2014"``, brings its own splits. What is at fault is an error that lists
    it all, or is taken in by ``faults`` and left out; none at all is one where they are ``required``.
    """
    if str(folder).startswith(PREFIX):
        return read_tfds_captions(str(folder))
    splits: dict[str, list[CaptionedPhoto]] = {"train": [], "validation": [], "test": []}
    with collected(faults) as own:
        for part in subfolders(folder):
            if (part / "captions.json").is_file():
                for photo in read_coco_captions(part / "captions.json", part / "images", own):
                    splits[split_of_boxed(photo.key)].append(photo)
            elif (part / "captions.csv").is_file():
                for photo in read_caption_table(part / "captions.csv", part / "images", own):
                    splits[split_of(photo.key)].append(photo)
    if required and not any(splits.values()):
        raise InputError(
            f"Expected photos with a captions.json (COCO) or a captions.csv in a subfolder of {str(folder)!r}, "
            "found none."
        )
    return splits


def read_whole_captioned_photos(
    folder: str | Path, faults: Faults, progress: Progress, memory: Path | None = None
) -> dict[str, list[CaptionedPhoto]]:
    """Reads captioned photos as :func:`read_captioned_photos` does, those that are there and whole."""
    splits = read_captioned_photos(folder, faults)
    return {name: keep_whole(photos, faults, progress=progress, memory=memory) for name, photos in splits.items()}


def people_views(photos: Sequence[CaptionedPhoto]) -> list[CaptionedView]:
    """Returns the photos whole, with people's captions."""
    return [
        CaptionedView(view_of(Part(Photo(key, path, objects=(), complete=False, load=load))), captions)
        for key, path, captions, load in photos
    ]


def template_views(
    photos: Sequence[Photo], rng: np.random.Generator, *, collages: int, pets: int, named: Collection[str] = ()
) -> list[CaptionedView]:
    """Returns training views of photos whose objects are known, alone and in pairs, with template captions.

    There are so many ``collages`` of two photos, and so many of a dog's and a cat's (``pets``): few pairs drawn at
    large are of these two. An object that people ``named`` often is not shown alone, which teaches to say less.
    """
    photos = [photo for photo in photos if split_of_boxed(photo.key) == "train"]
    drawn = training_views(photos, rng, collages=collages)
    enough = set(named)
    views = [view for view in drawn if len(view.parts) > 1 or not enough & {subject_of(p) for p in view.parts}]
    views += _pairs(photos, "dog", "cat", rng, pets)
    captioned = [CaptionedView(view, template_captions(view)) for view in views]
    return [view for view in captioned if view.captions]


def _pairs(photos: Sequence[Photo], first: str, second: str, rng: np.random.Generator, count: int) -> list[View]:
    """Returns collages of two objects of given kinds in both orders and every layout, parts mirrored by chance."""
    of_word = {word: [photo for photo in photos if subject_of(Part(photo)) == word] for word in (first, second)}
    if not all(of_word.values()):
        return []
    views = []
    for index in range(count):
        words = (first, second) if index % 2 else (second, first)
        pair = [of_word[word][rng.integers(len(of_word[word]))] for word in words]
        drawn = collage(pair[0], pair[1], layout=LAYOUTS[rng.integers(len(LAYOUTS))])
        views.append(view_of(*(part._replace(mirrored=bool(rng.integers(2))) for part in drawn.parts)))
    return views


def template_captions(view: View) -> tuple[str, ...]:
    """Writes what is on a view of one object, or of two photos of one object each.

    Example:
        >>> from gradcam_jax.experiments.data.photos import LabelledBox
        >>> template_captions(view_of(Part(Photo("dog", Path(), (LabelledBox("dog", WHOLE),), False))))
        ('a dog', 'a dog posing for a picture')
    """
    subjects = [subject for part in view.parts if (subject := subject_of(part)) is not None]
    if len(subjects) < len(view.parts):
        return ()
    names = [with_article(subject) for subject in subjects]
    alive = all(category_of(subject) == ANIMAL for subject in subjects)
    if len(names) == 1:
        return (names[0], f"{names[0]} posing for a picture") if alive else (names[0],)
    first, second = names
    captions = (f"{first} and {second}", f"{second} and {first}", f"{first} next to {second}")
    return (*captions, f"{captions[0]} posing for a picture") if alive else captions


def subject_of(part: Part) -> str | None:
    """Returns the one kind of object that a part shows plainly, as if it filled the picture, or None."""
    whole = view_of(part._replace(place=WHOLE))
    plain = {item.word for item in whole.objects if item.box.area >= _PLAIN}
    return plain.pop() if len(plain) == 1 else None

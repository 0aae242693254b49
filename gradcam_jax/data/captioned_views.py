"""What a captioner is trained on: views of photos with what people wrote, and template captions of their things.

Captions written by people teach the language; they rarely name single objects plainly. So photos whose things are
known (COCO's boxes, labelled folders) and collages of two of them get template captions: "a dog and a cat".
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gradcam_jax.data.captions import (
    CaptionedPhoto,
    read_caption_table,
    read_coco_captions,
    split_of,
    split_of_things,
)
from gradcam_jax.data.photos import Photo, read_photos
from gradcam_jax.data.views import Part, View, training_views, view_of
from gradcam_jax.data.words import ANIMAL, category_of, with_article
from gradcam_jax.errors import InputError

_PLAIN = 0.1  # of the view's area: a thing that a caption of one thing may be about


class CaptionedView(NamedTuple):
    """A view and its captions.

    Attributes:
        view: The picture, as a description.
        captions: At least one.
        source: ``"people"`` or ``"template"``.
    """

    view: View
    captions: tuple[str, ...]
    source: str


def read_captioned_photos(folder: str | Path) -> dict[str, list[CaptionedPhoto]]:
    """Reads every set of captioned photos in a folder, split by photo.

    Args:
        folder: Has subfolders with ``captions.json`` (COCO) or ``captions.csv`` (``file``, ``caption``), and the
            photos beside it in ``images``.

    Returns:
        ``"train"``, ``"validation"`` and ``"test"`` -> photos. COCO's go with the split of their boxes, 70 % for
        training; of the others 86 % are for training.

    Raises:
        InputError: If there are none.
    """
    splits: dict[str, list[CaptionedPhoto]] = {"train": [], "validation": [], "test": []}
    for part in sorted(path for path in Path(folder).glob("*") if path.is_dir()):
        if (part / "captions.json").is_file():
            for photo in read_coco_captions(part / "captions.json", part / "images"):
                splits[split_of_things(photo.key)].append(photo)
        elif (part / "captions.csv").is_file():
            for photo in read_caption_table(part / "captions.csv", part / "images"):
                splits[split_of(photo.key)].append(photo)
    if not any(splits.values()):
        raise InputError(
            f"Expected photos with a captions.json (COCO) or a captions.csv in a subfolder of {str(folder)!r}, "
            "found none."
        )
    return splits


def people_views(photos: Sequence[CaptionedPhoto], *, mirrored: bool) -> list[CaptionedView]:
    """Returns the photos whole, with people's captions.

    Args:
        photos: Captioned photos.
        mirrored: Whether each is also shown with left and right exchanged.
    """
    views = []
    for photo in photos:
        bare = Photo(photo.key, photo.path, things=(), complete=False)
        views += [
            CaptionedView(view_of(Part(bare, mirrored=turned)), photo.captions, "people")
            for turned in ((False, True) if mirrored else (False,))
        ]
    return views


def template_views(folder: str | Path, rng: np.random.Generator, *, collages: int) -> list[CaptionedView]:
    """Returns training views of photos whose things are known, alone and in pairs, with template captions.

    Args:
        folder: As for :func:`gradcam_jax.data.photos.read_photos`; without such photos the list is empty.
        rng: Chooses crops and pairs.
        collages: Number of pictures made of two photos.
    """
    try:
        photos = [photo for photo in read_photos(folder) if split_of_things(photo.key) == "train"]
    except InputError:
        return []
    views = training_views(photos, rng, collages=collages)
    captioned = [CaptionedView(view, template_captions(view), "template") for view in views]
    return [view for view in captioned if view.captions]


def template_captions(view: View) -> tuple[str, ...]:
    """Writes what is on a view of one thing, or of two photos of one thing each.

    Example:
        >>> from gradcam_jax.data.photos import WHOLE, Thing
        >>> dog, cat = (Photo(word, Path(), (Thing(word, WHOLE),), False) for word in ("dog", "cat"))
        >>> template_captions(view_of(Part(dog)))
        ('a dog', 'a dog posing for a picture')
    """
    subjects = [subject_of(part) for part in view.parts]
    if any(subject is None for subject in subjects):
        return ()
    names = [with_article(subject) for subject in subjects if subject is not None]
    alive = all(category_of(subject) == ANIMAL for subject in subjects if subject is not None)
    if len(names) == 1:
        return (names[0], f"{names[0]} posing for a picture") if alive else (names[0],)
    first, second = names
    joined = (f"{first} and {second}", f"{second} and {first}")
    return (
        *joined,
        f"{first} next to {second}",
        *([f"{joined[0]} posing for a picture"] if alive else []),
    )


def subject_of(part: Part) -> str | None:
    """Returns the one kind of thing that a part shows plainly, as if it filled the picture, or None.

    Args:
        part: A piece of a photo whose things are known.
    """
    things = view_of(part._replace(place=Part(part.photo).place)).things
    plain = {thing.word for thing in things if thing.box.area >= _PLAIN}
    return plain.pop() if len(plain) == 1 else None

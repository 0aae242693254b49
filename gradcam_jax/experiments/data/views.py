"""Pictures made from photos: mirrored, cropped, an object cut out, two photos side by side.

A view is a description; :func:`render` makes its pixels. What is on it follows from what is on its photos.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import PIL.Image

from gradcam_jax.experiments.data.photos import WHOLE, Box, LabelledBox, Photo
from gradcam_jax.experiments.data.splits import Split, photos_of
from gradcam_jax.experiments.data.words import category_of
from gradcam_jax.images.photos import read_photo

_MOSTLY, _HARDLY = 0.6, 0.15  # of an object's area inside a crop: on it, or not; in between is undecided
_SMALL = 0.02  # of the view's area: too small to be asked about
_SEED = 123  # of the crops and pairs of a split

LAYOUTS = ("beside", "above", "inset")
"""How two photos go onto one picture."""


class Part(NamedTuple):
    """A piece of a photo, mirrored left to right or not, stretched to its place on the view."""

    photo: Photo
    crop: Box = WHOLE
    mirrored: bool = False
    place: Box = WHOLE


class View(NamedTuple):
    """One picture, as a description: parts that are pasted in this order.

    Attributes:
        objects: What is on it, large enough to be seen, in fractions of the view.
        unsure: Words that may or may not be there: cut off, too small, or not annotated.
        complete: Whether a COCO word that is in neither is surely absent.
    """

    parts: tuple[Part, ...]
    objects: tuple[LabelledBox, ...]
    unsure: frozenset[str]
    complete: bool

    @property
    def name(self) -> str:
        """Tells it from every other view; feature caches are known by it."""
        pieces = [
            f"{part.photo.key}@{','.join(f'{edge:.4f}' for edge in (*part.crop, *part.place))}"
            + ("~" if part.mirrored else "")
            for part in self.parts
        ]
        return "|".join(pieces)


def view_of(*parts: Part) -> View:
    """Returns the view that these parts make; a later part hides what it covers."""
    objects: list[LabelledBox] = []
    unsure: set[str] = set()
    for part in parts:
        objects = [item for item in objects if _covered(item.box, part.place) < 1 - _MOSTLY]
        for item in part.photo.objects:
            inside = _covered(item.box, part.crop)
            box = _moved(item.box, part)
            if inside >= _MOSTLY and box.area >= _SMALL:
                objects.append(LabelledBox(item.word, box))
            elif inside > _HARDLY or not part.photo.complete:
                unsure.add(item.word)
    return View(
        parts,
        tuple(objects),
        frozenset(unsure - {item.word for item in objects}),
        all(part.photo.complete for part in parts),
    )


def training_views(photos: Sequence[Photo], rng: np.random.Generator, *, collages: int) -> list[View]:
    """Returns views of each photo whole, mirrored and cropped, its objects cut out, and collages of two."""
    views = []
    for photo in photos:
        views += [view_of(Part(photo)), view_of(Part(photo, mirrored=True))]
        views += [view_of(Part(photo, _random_crop(rng), bool(rng.integers(2)))) for _ in range(2)]
        views += [view_of(Part(photo, crop, bool(rng.integers(2)))) for crop in _object_crops(photo, rng)]
    return views + collage_views(photos, rng, collages)


def collage_views(photos: Sequence[Photo], rng: np.random.Generator, count: int) -> list[View]:
    """Returns pictures of two photos each: left and right, above and below, or one inset in the other.

    Two thirds of the pairs are of two different animals: what tells a map that follows the answer from one
    that follows the eye.
    """
    animals = [photo for photo in photos if main_animal(photo)]
    others = [photo for photo in photos if photo.objects]
    views: list[View] = []
    for index in range(count if animals and others else 0):
        first = animals[rng.integers(len(animals))]
        pool = animals if index % 3 else others
        second = pool[rng.integers(len(pool))]
        if {item.word for item in first.objects} & {item.word for item in second.objects}:
            continue
        pair = (first, second) if rng.integers(2) else (second, first)
        views.append(collage(*pair, layout=LAYOUTS[rng.choice(3, p=(0.45, 0.3, 0.25))]))
    return views


def collage(first: Photo, second: Photo, *, layout: str) -> View:
    """Puts two photos onto one picture: ``"beside"``, ``"above"`` or ``"inset"``, the second in a corner."""
    places = {
        "beside": (Box(0, 0, 0.5, 1), Box(0.5, 0, 1, 1)),
        "above": (Box(0, 0, 1, 0.5), Box(0, 0.5, 1, 1)),
        "inset": (WHOLE, Box(0.55, 0.55, 1, 1)),
    }[layout]
    return view_of(Part(first, place=places[0]), Part(second, place=places[1]))


def two_animal_collages(photos: Sequence[Photo], rng: np.random.Generator, count: int) -> list[View]:
    """Returns collages side by side of two photos, each of one animal, of two kinds: the maps' test."""
    animals = [photo for photo in photos if main_animal(photo)]
    views: list[View] = []
    while len(views) < count and len({main_animal(photo) for photo in animals}) > 1:
        first, second = (animals[index] for index in rng.integers(len(animals), size=2))
        if main_animal(first) not in {item.word for item in second.objects} and (
            main_animal(second) not in {item.word for item in first.objects}
        ):
            views.append(collage(first, second, layout="beside"))
    return views


def split_views(
    photos: Sequence[Photo], split: Split, *, collages: int = 2000, further: Sequence[Photo] = ()
) -> list[View]:
    """Returns the views of one of VQA's splits: many of each training photo, each other photo as it is.

    Args:
        photos: Photos of all splits.
        split: Which.
        collages: Pictures of two training photos.
        further: Photos that are for training whatever the split's rule says of them.
    """
    chosen = photos_of(photos, split)
    if split == "train":
        return training_views([*chosen, *further], np.random.default_rng(_SEED), collages=collages)
    return [view_of(Part(photo)) for photo in chosen]


def held_out_collages(photos: Sequence[Photo], split: Split, *, count: int = 120) -> list[View]:
    """Returns pictures of two animals side by side, from photos of a split that is not trained on."""
    return two_animal_collages(photos_of(photos, split), np.random.default_rng(_SEED), count)


def render(view: View, size: int) -> np.ndarray:
    """Returns a view's pixels, RGB in [0, 1] ``(size, size, 3)``, by Pillow's antialiased bicubic filter."""
    canvas = PIL.Image.new("RGB", (size, size))
    for part in view.parts:
        load, path = part.photo.load, str(part.photo.path)
        photo = PIL.Image.fromarray(load()) if load else _photo(path)
        crop, width, height = part.crop, photo.width, photo.height
        box = (crop.left * width, crop.top * height, crop.right * width, crop.bottom * height)
        left, top, right, bottom = (round(edge * size) for edge in part.place)
        piece = photo.resize((right - left, bottom - top), PIL.Image.Resampling.BICUBIC, box)
        if part.mirrored:
            piece = piece.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)
        canvas.paste(piece, (left, top))
    return np.asarray(canvas, np.float32) / np.float32(255)


def _object_crops(photo: Photo, rng: np.random.Generator) -> list[Box]:
    """Returns crops around the larger objects of a photo, with some of what is around them, at most six."""
    large = [item.box for item in photo.objects if photo.complete and 0.02 <= item.box.area <= 0.7]
    crops = []
    for box in sorted(large, key=lambda box: -box.area)[:6]:
        width, height = box.right - box.left, box.bottom - box.top
        margin = rng.uniform(0.05, 0.4, 4) * (-width, -height, width, height)
        edges = np.clip(np.array(box) + margin, 0, 1)
        crops.append(Box(*edges.tolist()))
    return crops


def _random_crop(rng: np.random.Generator) -> Box:
    width, height = rng.uniform(0.6, 0.95, 2)
    left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    return Box(float(left), float(top), float(left + width), float(top + height))


def main_animal(photo: Photo) -> str | None:
    """Returns the one kind of animal on a photo, if it is large."""
    animals = {item.word for item in photo.objects if category_of(item.word) == "animal"}
    area = max((item.box.area for item in photo.objects if item.word in animals), default=0.0)
    return next(iter(animals)) if len(animals) == 1 and area >= 0.1 else None


def _covered(box: Box, by: Box) -> float:
    overlap = Box(
        max(box.left, by.left), max(box.top, by.top), min(box.right, by.right), min(box.bottom, by.bottom)
    )
    crossing = overlap.area if overlap.right > overlap.left and overlap.bottom > overlap.top else 0.0
    return crossing / box.area if box.area else 0.0


def _moved(box: Box, part: Part) -> Box:
    """Returns where a box of the photo lies on the view, cut off at the part's edge."""
    crop, place = part.crop, part.place

    def along(edge: float, start: float, end: float, first: float, last: float) -> float:
        fraction = min(max((edge - start) / (end - start), 0.0), 1.0)
        return first + fraction * (last - first)

    left, right = (along(edge, crop.left, crop.right, 0.0, 1.0) for edge in (box.left, box.right))
    if part.mirrored:
        left, right = 1 - right, 1 - left
    width = place.right - place.left
    top, bottom = (along(edge, crop.top, crop.bottom, place.top, place.bottom) for edge in (box.top, box.bottom))
    return Box(place.left + left * width, top, place.left + right * width, bottom)


@functools.lru_cache(maxsize=64)
def _photo(path: str) -> PIL.Image.Image:
    return PIL.Image.fromarray(read_photo(path))

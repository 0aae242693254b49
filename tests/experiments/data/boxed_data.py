"""The same three photos with the same boxes in the layouts of COCO, Pascal VOC and ILSVRC; random colours."""

import json
from pathlib import Path

import numpy as np
import PIL.Image

WIDTH, HEIGHT = 40, 30
# Photo -> its objects: VOC's name, first and last pixel of its box, counted from 1, and whether it is difficult.
PHOTOS = {
    "000001": [("dog", (1, 1, 20, 15), False), ("sofa", (11, 6, 40, 30), False)],
    "000002": [("dog", (5, 4, 30, 28), False), ("dog", (31, 1, 40, 10), True), ("person", (1, 1, 4, 30), False)],
    "000003": [("tvmonitor", (21, 11, 40, 30), False), ("cat", (1, 1, 8, 8), True)],
}
COCO_NAMES = {"sofa": "couch", "tvmonitor": "tv"}
WNIDS = {"dog": "n02085620", "sofa": "n04344873", "tvmonitor": "n04404412", "cat": "n02123045", "person": "n0"}


def pixels_of(name):
    """Returns random colours, made of 25 patches."""
    patches = np.random.default_rng(int(name)).integers(0, 255, (5, 5, 3), np.uint8)
    return np.asarray(PIL.Image.fromarray(patches).resize((WIDTH, HEIGHT)))


def make_coco(folder: Path) -> Path:
    """Writes ``instances.json`` and ``images``; the dog of the second photo has an outline."""
    (folder / "images").mkdir(parents=True)
    names = sorted({COCO_NAMES.get(name, name) for objects in PHOTOS.values() for name, *_ in objects})
    images, annotations = [], []
    for number, (photo, objects) in enumerate(PHOTOS.items()):
        PIL.Image.fromarray(pixels_of(photo)).save(folder / "images" / f"{photo}.png")
        images.append({"id": number, "file_name": f"{photo}.png", "width": WIDTH, "height": HEIGHT})
        for name, (left, top, right, bottom), _ in objects:
            box = [left - 1, top - 1, right - left + 1, bottom - top + 1]
            annotation = {"image_id": number, "category_id": names.index(COCO_NAMES.get(name, name)), "bbox": box}
            if (photo, name, left) == ("000002", "dog", 5):
                annotation["segmentation"] = [[4, 3, 30, 3, 4, 28]]
            annotations.append(annotation)
    categories = [{"id": index, "name": name} for index, name in enumerate(names)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


def make_voc(folder: Path) -> Path:
    """Writes the folders of the Pascal VOC development kit; the test part has the first two photos."""
    _write_xml(folder / "Annotations", folder / "JPEGImages", "jpg", {})
    lists = folder / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    names = list(PHOTOS)
    for split, part in {"test": names[:2], "trainval": names[2:]}.items():
        (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in part))
    (lists / "dog_test.txt").write_text("000001  1\n")
    return folder


def make_ilsvrc(folder: Path) -> Path:
    """Writes ILSVRC's folders: WordNet ids, a list with numbers, ``.JPEG``."""
    _write_xml(folder / "Annotations/CLS-LOC/val", folder / "Data/CLS-LOC/val", "JPEG", WNIDS)
    lists = folder / "ImageSets" / "CLS-LOC"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("".join(f"{name} {number}\n" for number, name in enumerate(PHOTOS, 1)))
    (lists / "train_cls.txt").write_text("")
    return folder


def _write_xml(annotations, photos, suffix, names):
    annotations.mkdir(parents=True)
    photos.mkdir(parents=True)
    for photo, objects in PHOTOS.items():
        PIL.Image.fromarray(pixels_of(photo)).save(photos / f"{photo}.{suffix}", "JPEG", quality=95)
        items = "".join(
            f"<object><name>{names.get(name, name)}</name><difficult>{int(difficult)}</difficult><bndbox>"
            f"<xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax>"
            "</bndbox></object>"
            for name, box, difficult in objects
        )
        size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
        (annotations / f"{photo}.xml").write_text(f"<annotation>{size}{items}</annotation>")

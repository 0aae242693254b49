"""A small data folder made on the spot: COCO photos, a labelled folder, questions; flat colours for pixels."""

import csv
import json
from pathlib import Path

import numpy as np
import PIL.Image

# Photo -> its objects: (COCO category, box in pixels) on a picture of 100x80.
COCO = {
    1: [("dog", (10, 10, 50, 60))],
    2: [("cat", (40, 20, 40, 40)), ("dining table", (0, 50, 100, 30))],
    3: [("dog", (0, 0, 40, 40)), ("dog", (60, 40, 40, 40)), ("person", (40, 0, 3, 3))],
    4: [("car", (5, 5, 90, 70))],
}
LABELLED = {"boxer.jpg": 242, "tabby.jpg": 281, "abacus.jpg": 398, "jeep.jpg": 609}


def make_data(folder: Path) -> Path:
    names = sorted({name for objects in COCO.values() for name, _ in objects})
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 80} for i in COCO],
        "categories": [{"id": index, "name": name} for index, name in enumerate(names)],
        "annotations": [
            {"image_id": i, "category_id": names.index(name), "bbox": box, "iscrowd": 0}
            for i, objects in COCO.items()
            for name, box in objects
        ],
    }
    for part, files in (("coco", [f"{i}.jpg" for i in COCO]), ("samples", list(LABELLED))):
        (folder / part / "images").mkdir(parents=True)
        for index, file in enumerate(files):
            pixels = np.full((80, 100, 3), 40 * index + 20, np.uint8)
            PIL.Image.fromarray(pixels).save(folder / part / "images" / file)
    (folder / "coco" / "instances.json").write_text(json.dumps(content))
    with (folder / "samples" / "labels.csv").open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["file", "class_index"])
        writer.writerows(LABELLED.items())
    return folder

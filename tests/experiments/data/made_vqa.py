"""Official question files about a dozen made photos: what a photo shows is its colour, and so is every answer."""

import json
from pathlib import Path

import numpy as np
import PIL.Image

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}


def make_official_vqa(folder: Path, subtype: str = "train2014", photos: int = 12) -> dict[str, str]:
    """Writes photos, questions and annotations; returns their paths by the flags' names."""
    images = folder / subtype
    images.mkdir(parents=True)
    questions, annotations = [], []
    for index in range(photos):
        colour = list(COLOURS)[index % len(COLOURS)]
        pixels = np.full((40, 50, 3), COLOURS[colour], np.uint8)
        PIL.Image.fromarray(pixels).save(images / f"COCO_{subtype}_{index + 1:012d}.jpg")
        answers = [(f"What color is {thing}?", colour) for thing in ("it", "the wall")]
        answers += [(f"Is it {other}?", "yes" if other == colour else "no") for other in COLOURS]
        for place, (text, answer) in enumerate(answers):
            number = 100 * (index + 1) + place
            given = [answer] * 8 + ["purple", "maybe"]
            questions.append({"question_id": number, "image_id": index + 1, "question": text})
            annotations.append(
                {
                    "question_id": number,
                    "image_id": index + 1,
                    "question_type": " ".join(text.split()[:2]).lower(),
                    "answer_type": "yes/no" if answer in ("yes", "no") else "other",
                    "multiple_choice_answer": answer,
                    "answers": [{"answer": a, "answer_id": k + 1} for k, a in enumerate(given)],
                }
            )
    files = {"questions": folder / f"{subtype}_q.json", "annotations": folder / f"{subtype}_a.json"}
    files["questions"].write_text(json.dumps({"data_subtype": subtype, "questions": questions}))
    files["annotations"].write_text(json.dumps({"data_subtype": subtype, "annotations": annotations}))
    return {"images": str(images), **{name: str(path) for name, path in files.items()}}

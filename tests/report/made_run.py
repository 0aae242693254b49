"""A run that no model made: random maps, chosen numbers, real files, names that a page could stumble over."""

import json

import numpy as np
import PIL.Image

from gradcam_jax.pipeline.store import RunStore
from gradcam_jax.tasks.indices import SCALE
from gradcam_jax.tasks.methods import GUIDED

SETTINGS = {
    "task": "classification",
    "model": "made",
    "layer": "relu",
    "recipe": "efficientnet_lite",
    "input_size": 64,
}
NASTY = [
    "<img src=x onerror=alert(1)>.png",
    "\"quoted\" & 'single'.png",
    "</script><script>alert(2)</script>",
    "猫 ü.png",
]
"""Ids; the one with a slash is a path."""


def write_photo(path, size, mode="RGB"):
    """Writes a photo of random colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colors = np.random.default_rng(size[0]).integers(0, 255, (3, 4, 3), np.uint8)
    PIL.Image.fromarray(colors).resize(size).convert(mode).save(path, "PNG")
    return path


def target(name, place, cam, *, probability=0.5, rank=1):
    """A target's line of the manifest."""
    negative = not float(cam.max()) > 0
    numbers = {"index": place, "score": 1.5, "probability": probability, "rank": rank}
    return {"name": name, **numbers, "all_negative": negative, "place": place}


def line_of(path, identifier, cams, names, *, prediction=None, probability=0.5, **more):
    """An image's line of the manifest."""
    targets = [
        target(name, place, cam, probability=probability if place == 0 else 0.001, rank=place + 1)
        for place, (name, cam) in enumerate(zip(names, cams, strict=True))
    ]
    prediction = prediction or names[0]
    return {
        "id": identifier,
        "path": str(path),
        "request": {"label": ", ".join(names)},
        "prediction": prediction,
        "probability": probability,
        "predictions": [{"name": prediction, "probability": probability}],
        "targets": targets,
        **more,
    }


def made_run(folder, count, *, photos, failing=(), settings=SETTINGS, start=0, guided=None):
    """Writes a run of ``count`` images over a few photos; every tenth map is all negative, those failing failed.

    Class ``class N`` is predicted of image N modulo 7, with probability N modulo 100 in percent. ``guided``,
    ``(2, H, W, 3)``, are the float16 gradients of each image's targets, stored as a run stores them.
    """
    random = np.random.default_rng(0)
    with RunStore(folder, settings, "cpu") as store:
        for number in range(start, start + count):
            identifier = NASTY[number] if number < len(NASTY) else f"photos/{number:06d}.png"
            path = photos[number % len(photos)]
            if number in failing:
                error = f"{str(path)!r} cannot be decoded: {failing[number]}"
                store.add([{"id": identifier, "path": str(path), "request": {}, "error": error}], {})
                continue
            cams = random.standard_normal((2, 7, 7)).astype(np.float32)
            if number % 10 == 9:
                cams[0] = -abs(cams[0])
            names = [f"class {number % 7}", "boxer"]
            line = line_of(path, identifier, cams, names, probability=(number % 100) / 100)
            arrays = {"cam": cams[np.newaxis]}
            if guided is not None:
                scales = {name + SCALE: np.full((1, 2), 0.25, np.float32) for name in GUIDED}
                arrays |= dict.fromkeys(GUIDED, guided[np.newaxis]) | scales
            store.add([line], arrays)
    return folder


def lines_of(folder):
    """Returns a run's manifest."""
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]

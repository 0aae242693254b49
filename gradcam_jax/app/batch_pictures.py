"""Pictures of one image of a run: its map on the photo, and a panel of everything that was computed."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from gradcam_jax.app import output
from gradcam_jax.pictures import rendering
from gradcam_jax.pipeline.decoding import Decoded
from gradcam_jax.pipeline.job import GUIDED_BACKPROP, GUIDED_GRAD_CAM, Job

KINDS = ("overlays", "panels")
_NAMES = {GUIDED_BACKPROP: "guided backprop", GUIDED_GRAD_CAM: "Guided Grad-CAM"}


def draw_image(
    folder: Path, kinds: tuple[str, ...], job: Job, one: Decoded, results: Mapping[str, np.ndarray]
) -> None:
    """Draws what was asked for: ``overlays/ID_TARGET.png`` a target, ``panels/ID.png`` an image.

    Args:
        folder: The run's folder.
        kinds: Of :data:`KINDS`.
        job: Names the targets.
        one: The photo.
        results: One image's results.
    """
    if one.photo is None:
        raise ValueError("expected a photo that was kept to be drawn on")
    stem, rows = picture_path(one.item.id), []
    left, top, right, bottom = one.box
    shape = max(round(bottom - top), 1), max(round(right - left), 1)
    for title in job.titles(results):
        laid = rendering.overlay(one.photo, np.maximum(results["cam"][title.target], 0), one.box)
        if "overlays" in kinds:
            name = output.safe_name(f"{stem.name}_{title.name}")
            _save(laid, folder / "overlays" / stem.parent / f"{name}.png")
        tiles = [("photo", one.photo), ("Grad-CAM", laid)]
        for method, caption in _NAMES.items():
            if method in results:
                drawn = rendering.centred_gradient_picture(results[method][title.target])
                tiles.append((caption, rendering.stretch_to(drawn, shape)))
        rows.append(rendering.Row(title.text, tiles))
    if "panels" in kinds and rows:
        panel = rendering.panel(rows, heading=one.item.request.get("question", "")[:100])
        _save(panel, folder / "panels" / stem.parent / f"{output.safe_name(stem.name)}.png")


def picture_path(identifier: str) -> Path:
    """Returns where an image's pictures go, below a folder of pictures: its id, made safe part by part.

    Example:
        >>> picture_path("../a/b:c.jpg").as_posix()
        '_/a/b_c.jpg'
    """
    parts = [output.safe_name(part) for part in PurePosixPath(identifier).parts if part != "/"]
    return Path(*(parts or ["_"]))


def _save(picture: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    output.save_picture(picture, path)

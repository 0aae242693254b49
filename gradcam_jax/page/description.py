"""What the page says of an explanation."""

from typing import Any

import numpy as np

from gradcam_jax.page.explaining import Shown
from gradcam_jax.tasks import Row


def described(shown: Shown) -> dict[str, Any]:
    """Returns what the page says of an explanation, as plain JSON values.

    ``rows`` are the targets, then a caption's words. A row's ``strength`` is its map's maximum as a share of the
    strongest of its kind: of the other targets, or of the words.
    """
    explained, task = shown.explained, shown.task
    description = explained.description
    height, width = explained.photo.shape[:2]
    left, top, right, bottom = explained.box
    targets = [_described_row(row, "target", shown.choice.method) for row in description.rows]
    words = [_described_row(row, "word", shown.choice.method) for row in description.words]
    for group in (targets, words):
        peak = max((row["peak"] for row in group), default=0.0)
        for row in group:
            row["strength"] = row["peak"] / peak if peak > 0 else 0.0
    return {
        "name": shown.name,
        "choice": shown.choice._asdict(),
        "own_layer": task.loaded.entry.layer,
        "box": [left / width, top / height, (right - left) / width, (bottom - top) / height],
        "prediction": description.prediction,
        "rows": [*targets, *words],
        "tokens": description.fields.get("question_tokens", []),
        "dropped": description.fields.get("dropped_tokens", 0),
        "written": description.fields.get("generated", []),
    }


def map_of(row: Row, method: str) -> np.ndarray:
    """Returns a row's map by a method, signed, at its own resolution; Grad-CAM's where the method makes pixels."""
    return row.maps.get(method, row.cam)


def _described_row(row: Row, kind: str, method: str) -> dict[str, Any]:
    fields, cam = row.fields, map_of(row, method)
    probability = fields.get("probability", float(np.exp(row.log_prob)) if kind == "word" else None)
    return {
        "kind": kind,
        "name": row.name,
        "target": str(fields.get("label", row.name)),
        "score": row.score,
        "probability": probability,
        "log_prob": fields.get("log_prob"),
        "rank": fields.get("rank"),
        "known": fields.get("known", True),
        "peak": max(float(cam.max()), 0.0),
        "all_negative": not cam.max() > 0,
        "shape": list(cam.shape),
        "tokens": [[word, importance] for word, importance in row.tokens],
    }

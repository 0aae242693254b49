"""What a report's pages know of each photo: a short row to search and filter by, and everything to show."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradcam_jax.pipeline.manifest import OK
from gradcam_jax.pipeline.reader import Record
from gradcam_jax.report.thumbnails import CAM, Drawn, gradient_names, key_of, map_names

FAILED, BLANK, NO_PICTURE = 1, 2, 4
"""Bits of a row's flags: it failed; nothing speaks for one of its targets; its photo could not be read again."""

_NOT_ASKED = ("", "-1")


def index_row(record: Record, drawn: Drawn) -> list[Any]:
    """Returns what a photo is searched and filtered by.

    Returns:
        ``[key, id, flags, prediction, its probability, names of the targets, the first target's probability, more
        words]``.
    """
    fields = record.fields
    targets = fields["targets"] or []
    failed = fields["status"] != OK
    flags = FAILED * failed + BLANK * any(target["all_negative"] for target in targets)
    flags += NO_PICTURE * (not failed and drawn.size is None)
    asked = [text for text in (fields["request"] or {}).values() if text not in _NOT_ASKED]
    return [
        key_of(fields["id"]),
        fields["id"],
        flags,
        fields["prediction"] or "",
        _short(fields["probability"]),
        [target["name"] for target in targets],
        _short(targets[0]["probability"]) if targets else None,
        " ".join([fields["error"] or "", *asked]).strip(),
    ]


def shown_record(record: Record, drawn: Drawn) -> dict[str, Any]:
    """Returns everything that a photo's own page shows, as plain JSON values."""
    fields, arrays = record.fields, record.arrays
    shown: dict[str, Any] = {
        "key": key_of(fields["id"]),
        **{name: fields[name] for name in ("id", "path", "error")},
        "request": {name: text for name, text in (fields["request"] or {}).items() if text},
        "size": drawn.size,
        "problem": drawn.problem,
        "predictions": [_rounded(one) for one in fields.get("predictions") or []],
        "targets": [_rounded(target) for target in fields["targets"] or []],
        "maps": map_names(arrays),
        "gradients": gradient_names(arrays),
    }
    for target in shown["targets"]:
        target["strength"] = _strength(arrays[CAM][target["place"]])
    if fields.get("words"):
        shown["words"] = [
            {**_rounded(word), "strength": _strength(cam)}
            for word, cam in zip(fields["words"], arrays["word_cams"], strict=False)
        ]
    if fields.get("tokens"):
        importances = np.asarray(arrays["word_importances"])
        shown["tokens"] = fields["tokens"]
        for target in shown["targets"]:
            target["importances"] = [
                _short(value) for value in importances[target["place"]][: len(fields["tokens"])].tolist()
            ]
    return shown


def reason_of(fields: Mapping[str, Any]) -> str:
    """Returns why a photo failed, in words that photos which failed alike share.

    Example:
        >>> reason_of({"id": "a.jpg", "path": "/p/a.jpg", "error": "'/p/a.jpg' cannot be decoded"})
        'cannot be decoded'
        >>> reason_of({"id": "a.jpg", "path": "/p/a.jpg", "error": "But '/p/a.jpg' is a folder."})
        'But … is a folder'
    """
    reason = fields["error"] or ""
    own = _texts(fields.get("path") or "") + _texts(fields["id"])
    for text in own:
        reason = reason.replace(text, "…")
    return reason.removeprefix("… ").strip().removesuffix(".")


def _texts(path: str) -> list[str]:
    return [repr(path), path] if path else []


def _strength(cam: np.ndarray) -> float:
    return _short(max(float(np.max(cam)), 0.0)) or 0.0


def _rounded(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _short(value) if isinstance(value, float) else value for name, value in fields.items()}


def _short(value: float | None) -> float | None:
    """Rounds to five digits: a page shows fewer."""
    return None if value is None else float(f"{value:.5g}")

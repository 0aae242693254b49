"""Compares two runs over the same images: what another precision, device or way to decode changes."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.evaluation.agreement import Agreement, map_agreement
from gradcam_jax.pipeline import open_run

_BATCH = 256


def compare(folder: str | Path, reference: str | Path) -> dict[str, Any]:
    """Compares the maps of every image that two runs explained.

    Only maps of the same target are compared; images of which the runs predict something else count as changed.

    Returns:
        ``images``, ``maps``; ``predictions_changed`` and ``peaks_changed`` (shares); ``rank_correlation`` and
        ``difference`` (``median``, and ``worst``; of the difference also ``percentile_99``).
    """
    run, other = open_run(folder), open_run(reference)
    pairs, changed, images = [], 0, 0
    for name in run:
        if name not in other:
            continue
        ours, theirs = run[name], other[name]
        if not ours.arrays or not theirs.arrays:
            continue
        images += 1
        changed += ours.fields["prediction"] != theirs.fields["prediction"]
        pairs += _same_targets(ours.arrays, theirs.arrays)
    if not pairs:
        raise InputError(
            f"The runs in {str(folder)!r} and {str(reference)!r} share no image with the same target."
        )
    shapes = {cam.shape for pair in pairs for cam in pair}
    if len(shapes) > 1:
        raise InputError(f"Expected maps of one size, got {sorted(shapes)}. Were they made at the same layer?")
    agreement = jax.device_get(_agreements(*(np.stack(cams) for cams in zip(*pairs, strict=True))))
    return {
        "images": images,
        "maps": len(pairs),
        "predictions_changed": changed / images,
        "peaks_changed": 1 - float(agreement.same_peak.mean()),
        "rank_correlation": {
            "median": float(np.median(agreement.rank_correlation)),
            "worst": float(agreement.rank_correlation.min()),
        },
        "difference": {
            "median": float(np.median(agreement.difference)),
            "percentile_99": float(np.percentile(agreement.difference, 99)),
            "worst": float(agreement.difference.max()),
        },
    }


def _same_targets(ours: Any, theirs: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    if "targets" not in ours:  # a caption, the same if its words are
        same = np.array_equal(ours["tokens"], theirs["tokens"])
        return [(ours["cam"][0], theirs["cam"][0])] if same else []
    places = {int(target): place for place, target in enumerate(theirs["targets"]) if target >= 0}
    return [
        (ours["cam"][place], theirs["cam"][places[int(target)]])
        for place, target in enumerate(ours["targets"])
        if int(target) in places
    ]


@jax.jit
def _agreements(cams: jax.Array, references: jax.Array) -> Agreement:
    return jax.lax.map(lambda pair: map_agreement(*pair), (cams, references), batch_size=_BATCH)

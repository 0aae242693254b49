"""Results that wait to be written: lines of the manifest, and the arrays of one shard."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradcam_jax.pipeline.manifest import FAILED, OK

_EMPTY = dict.fromkeys(
    ("id", "path", "status", "error", "shard", "row", "request", "prediction", "probability", "targets")
)


class Pending:
    """What waits.

    Attributes:
        lines: Of the manifest, in order; those of images that failed too.
        ids: Of the images that have a row, in the rows' order.
        bytes: Of the arrays.
    """

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.bytes = 0
        self._parts: dict[str, list[np.ndarray]] = {}

    def add(self, images: Sequence[Mapping[str, Any]], arrays: Mapping[str, np.ndarray], shard: str) -> None:
        """Takes in some images, as :meth:`gradcam_jax.pipeline.store.RunStore.add` does, for the shard named."""
        for fields in images:
            if fields.get("error"):
                self.lines.append({**_EMPTY, **fields, "status": FAILED})
            else:
                self.lines.append({**_EMPTY, **fields, "status": OK, "shard": shard, "row": len(self.ids)})
                self.ids.append(fields["id"])
        for name, array in arrays.items():
            self._parts.setdefault(name, []).append(array)
        self.bytes += sum(array.nbytes for array in arrays.values())

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns the shard's arrays, name -> ``(rows, ...)``."""
        return {name: np.concatenate(parts) for name, parts in self._parts.items()}

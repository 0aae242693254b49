"""Where the results of one part go: shards of this attempt, and a manifest written whole when the part is done.

Unlike :class:`gradcam_jax.pipeline.store.RunStore` it appends to no file, holds no lock and needs neither, so
that it works in object stores too: two attempts at one part write different shards, and the manifest that is
written last names the shards that count. Both hold the same results.
"""

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradcam_jax.formats.storage import write_file
from gradcam_jax.pipeline.manifest import Done, read_done, read_lines
from gradcam_jax.pipeline.parts import Part, manifest_path
from gradcam_jax.pipeline.pending import Pending
from gradcam_jax.pipeline.store import SHARDS, clear_errors, write_shard


class PartStore:
    """Takes in the results of one part; leaving it as a context without an error writes its manifest.

    Attributes:
        done: What an earlier run of the command dealt with.
        disk_seconds: That writing took so far.
    """

    def __init__(self, folder: Any, part: Part, *, shard_bytes: int = 64 * 2**20, retry_failed: bool = False):
        """Reads what is done.

        Args:
            folder: The run's, a path or an object store's.
            part: The part.
            shard_bytes: A shard is written when its arrays reach this size.
            retry_failed: Whether images that failed are tried again.
        """
        self._folder, self._part = folder, part
        self._manifest = manifest_path(folder, part)
        self.done: Done = read_done([self._manifest], retry_failed=retry_failed)
        kept = (line.fields for line in read_lines(self._manifest)) if len(self.done.hashes) else ()
        self._lines = [fields for fields in kept if fields["id"] in self.done]
        self._attempt = f"part{part.name}-{uuid.uuid4().hex[:8]}"
        self._pending, self._shard_bytes, self._shards = Pending(), shard_bytes, 0
        self.disk_seconds = 0.0

    def __enter__(self) -> "PartStore":
        """Opens nothing: there is nothing to hold."""
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Writes the manifest, unless something went wrong; then the part is as it was before."""
        if kind is None:
            self.commit()
            with clear_errors(self._folder):
                write_file(self._manifest, "".join(json.dumps(line) + "\n" for line in self._lines))

    def add(self, images: Sequence[Mapping[str, Any]], arrays: Mapping[str, np.ndarray]) -> None:
        """Takes in some images, as :meth:`gradcam_jax.pipeline.store.RunStore.add` does."""
        self._pending.add(images, arrays, self._shard)
        if self._pending.bytes >= self._shard_bytes:
            self.commit()

    def commit(self) -> None:
        """Writes what waits into a shard."""
        if self._pending.ids:
            began = time.perf_counter()
            with clear_errors(self._folder):
                write_shard(self._folder / SHARDS / f"{self._shard}.safetensors", self._pending)
            self.disk_seconds += time.perf_counter() - began
            self._shards += 1
        self._lines += self._pending.lines
        self._pending = Pending()

    @property
    def _shard(self) -> str:
        return f"{self._attempt}-{self._shards:03d}"

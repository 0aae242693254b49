"""Where a run's results go: shards of arrays, written whole and then named in the manifest.

A shard is a ``.safetensors`` file: memory-mapped and zero-copy for readers in any framework, its header checked
when opened, and a library that this package needs anyway. It is not appendable; the run is, a shard at a time,
which is what makes a crash at any moment harmless: a shard is either whole and named in the manifest, or absent.

The folder holds ``run.json`` (what was asked), ``manifest.jsonl``, and ``shards/00000.safetensors`` and so on. Of
several processes each has a manifest and shards of its own, ``manifest-1of4.jsonl``, ``shards/1of4-00000...``.
"""

import contextlib
import errno
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import safetensors.numpy

from gradcam_jax.downloads.file_lock import exclusive
from gradcam_jax.errors import CheckpointError, InputError
from gradcam_jax.formats.safetensors_file import read_safetensors_metadata
from gradcam_jax.formats.storage import write_file
from gradcam_jax.pipeline.manifest import Done, append_lines, read_done, repair
from gradcam_jax.pipeline.pending import Pending

SETTINGS, SHARDS, IDS, DEVICES = "run.json", "shards", "ids", "devices"
_SUFFIX = ".safetensors"


class RunStore:
    """Writes one process's part of a run; as a context it holds the part's lock and leaves nothing unwritten.

    Attributes:
        folder: The run's folder.
        done: What was dealt with before this process started.
        disk_seconds: That writing took so far.
    """

    def __init__(
        self,
        folder: str | Path,
        settings: Mapping[str, Any],
        device: str,
        *,
        process: int = 0,
        processes: int = 1,
        shard_bytes: int = 64 * 2**20,
        shard_seconds: float = 60.0,
        retry_failed: bool = False,
    ):
        """Opens or resumes a run.

        Args:
            folder: The run's folder; it is made.
            settings: What the results depend on, as plain JSON values; a run of other settings is refused.
            device: The kind of device that computes. A run that another kind began is resumed: its maps differ in
                the last digits, and ``run.json`` lists every kind.
            process: Number of this process, from 0.
            processes: How many write to the folder.
            shard_bytes: A shard is written when its arrays reach this size...
            shard_seconds: ... or it has been waiting for so long: what a crash can cost.
            retry_failed: Whether images that failed are tried again.

        Raises:
            InputError: When entered: another run is writing here, the folder holds a run of other settings, or
                it cannot be written to.
        """
        self.folder = Path(folder)
        self.done = Done(np.empty(0, np.uint64), 0)
        self.disk_seconds = 0.0
        self._settings, self._device = {**settings, "processes": processes}, device
        part = "" if processes == 1 else f"{process}of{processes}"
        self._manifest = self.folder / (f"manifest-{part}.jsonl" if part else "manifest.jsonl")
        self._prefix = f"{part}-" if part else ""
        self._lock = self.folder / (f".lock-{part}" if part else ".lock")
        self._limits = shard_bytes, shard_seconds
        self._retry_failed = retry_failed
        self._next = 0
        self._broken = False
        self._held = contextlib.ExitStack()
        self._clear()

    def __enter__(self) -> "RunStore":
        """Takes the lock, repairs what a crash left, and reads what is done."""
        with clear_errors(self.folder):
            (self.folder / SHARDS).mkdir(parents=True, exist_ok=True)
            self._held.enter_context(exclusive(self._lock, self._refuse))
            try:
                with exclusive(self.folder / ".lock-settings", lambda: time.sleep(0.05)):
                    record_settings(self.folder, self._settings, self._device)
                names = repair(self._manifest, self._rows_of)
                self._remove_unnamed(set(names))
            except BaseException:
                self._held.close()
                raise
        self._next = max((int(name.removeprefix(self._prefix)) for name in names), default=-1) + 1
        self.done = read_done([self._manifest], retry_failed=self._retry_failed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Writes what waits, unless writing is what failed, and gives the lock back."""
        with self._held:
            if not self._broken:
                self.commit()

    def add(self, images: Sequence[Mapping[str, Any]], arrays: Mapping[str, np.ndarray]) -> None:
        """Takes in some images, explained or failed.

        Args:
            images: Each one's line of the manifest: ``id``, ``path``, ``request``, and ``error`` if it failed,
                else what the task's ``record`` says.
            arrays: The results of those that did not fail, name -> ``(n, ...)``; every call's arrays have the same
                names, shapes and dtypes. They are kept, not copied.

        Raises:
            InputError: If a shard is full and cannot be written.
        """
        shard = f"{self._prefix}{self._next:05d}"
        self._pending.add(images, arrays, shard)
        most, longest = self._limits
        if self._pending.bytes >= most or time.monotonic() - self._since >= longest:
            self.commit()

    def commit(self) -> None:
        """Writes what waits: the shard first, then the lines that name it.

        Raises:
            InputError: If it cannot be written; what was written before is safe, and this leaves no trace.
        """
        began = time.perf_counter()
        with clear_errors(self.folder):
            shard = self._shard_path(f"{self._prefix}{self._next:05d}")
            try:
                if self._pending.ids:
                    write_shard(shard, self._pending)
                if self._pending.lines:
                    append_lines(self._manifest, self._pending.lines)
            except OSError:
                self._broken = True
                shard.unlink(missing_ok=True)
                raise
        self._next += bool(self._pending.ids)
        self._clear()
        self.disk_seconds += time.perf_counter() - began

    def _clear(self) -> None:
        self._pending, self._since = Pending(), time.monotonic()

    def _refuse(self) -> None:
        raise InputError(
            f"Another run is writing to {str(self.folder)!r}. Wait for it, or choose another --out_path."
        )

    def _shard_path(self, name: str) -> Path:
        return self.folder / SHARDS / (name + _SUFFIX)

    def _rows_of(self, name: str) -> int | None:
        path = self._shard_path(name)
        if not path.is_file():
            return None
        try:
            return len(shard_ids(path))
        except CheckpointError:
            return None

    def _remove_unnamed(self, names: set[str]) -> None:
        for path in (self.folder / SHARDS).iterdir():
            stem = path.name.lstrip(".").partition(".")[0]
            own = stem.startswith(self._prefix) if self._prefix else stem.isdigit()
            if own and path.name.removesuffix(_SUFFIX) not in names:
                path.unlink()


def record_settings(folder: Any, settings: Mapping[str, Any], device: str) -> None:
    """Writes ``run.json``, or adds the device to it.

    Args:
        folder: The run's.
        settings: What the results depend on, as JSON values.
        device: The kind of device that computes.

    Raises:
        InputError: If the folder holds a run of other settings.
    """
    path = folder / SETTINGS
    wanted = json.loads(json.dumps(settings))
    devices: list[str] = []
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        devices = found.pop(DEVICES, devices)
        differing = [name for name in sorted(found | wanted) if found.get(name) != wanted.get(name)]
        if differing:
            shown = ", ".join(f"{name}: {found.get(name)!r}, now {wanted.get(name)!r}" for name in differing)
            raise InputError(
                f"{str(folder)!r} holds a run of other settings ({shown}). Choose another --out_path."
            )
    if device not in devices:
        record = {**wanted, DEVICES: [*devices, device]}
        write_file(path, json.dumps(record, indent=1, sort_keys=True) + "\n")


def shard_ids(path: Path) -> list[str]:
    """Returns the ids of the images in a shard, in the order of its rows."""
    return json.loads(read_safetensors_metadata(path)[IDS])


def write_shard(path: Any, pending: Pending) -> None:
    """Writes what waits as one shard, whole or not at all."""
    write_file(path, safetensors.numpy.save(pending.arrays(), metadata={IDS: json.dumps(pending.ids)}))


@contextlib.contextmanager
def clear_errors(folder: Any) -> Iterator[None]:
    """Says of a file that cannot be written why, and that nothing is lost."""
    try:
        yield
    except OSError as error:
        why = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else str(error)
        raise InputError(
            f"Cannot write to {str(folder)!r}: {why}. What is in its manifest is safe; "
            "the same command goes on from there."
        ) from error

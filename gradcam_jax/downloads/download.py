"""Fetches a published file so that its final name never holds anything but the whole, checked file.

Bytes are gathered in ``NAME.part``, which outlives a broken connection and a stopped program; the next call
continues from there. Only a file whose length and digest are right is renamed to ``NAME``.

It uses the standard library: the rest of the project needs no HTTP client, and none of the usual ones
resumes a transfer by itself.
"""

import functools
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from gradcam_jax.downloads.file_lock import exclusive
from gradcam_jax.downloads.sources import Source
from gradcam_jax.downloads.transfer import AddressError, Progress, TransientError, discard, transfer
from gradcam_jax.errors import DownloadError

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_LOCK_POLL_SECONDS = 1.0


def download(
    source: Source,
    folder: str | Path,
    *,
    progress: Progress = lambda *_: None,
    attempts: int = 5,
    timeout: float = 30.0,
    sleep: Callable[[float], object] = time.sleep,
) -> Path:
    """Fetches one published file, or returns it where it is already there: ``folder / source.file_name``.

    The addresses are tried in order. At each, cut connections, silences and overloaded servers are tried
    again after 1, 2, 4, ... seconds, at most 60; an answer such as 404 is not. If another program is fetching
    the same file, this one waits for it, and continues where it stopped if it fails.

    Args:
        source: What to fetch.
        folder: Where to keep it; made if it is not there.
        progress: Called with (bytes so far, bytes in all or None). The first number starts above zero when a
            download is resumed, and falls back only when a transfer must start over.
        attempts: Failures in a row at an address, at least 1; new bytes start the count again.
        timeout: The longest silence of a server, in seconds.
        sleep: Waits for a number of seconds.

    Raises:
        DownloadError: If no address gave the file, the disk is full or cannot be written, or a file of that name
            is there and is another one. A file whose digest is wrong is deleted; a partial one is kept.
    """
    folder = Path(folder)
    file = folder / source.file_name
    part = folder / (source.file_name + ".part")

    def wait() -> None:
        progress(_length(part), source.size)
        sleep(_LOCK_POLL_SECONDS)

    request = functools.partial(
        transfer,
        part=part,
        size=source.size,
        mixing_is_noticed=source.digest is not None,
        timeout=timeout,
        progress=progress,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / f".{source.file_name}.lock", wait):
            if file.exists():
                verify(file, source)
                progress(_length(file), _length(file))
            else:
                _fetch(source, part, request, attempts, sleep)
                os.replace(part, file)
                discard(part)
    except OSError as error:
        raise DownloadError(f"cannot keep {source.file_name} in {folder}: {error.strerror}") from error
    return file


def verify(file: str | Path, source: Source) -> None:
    """Checks that a file at hand is the published one, as far as its length and digest are known.

    Raises:
        DownloadError: If it is not, or it cannot be read; the message says what it has and what was expected.
    """
    try:
        difference = _difference(Path(file), source)
    except OSError as error:
        raise DownloadError(f"cannot read {file}: {error.strerror}") from error
    if difference:
        raise DownloadError(
            f"{file} is not the published {source.file_name}: it has {difference}. "
            f"Move it away and download it again, or give another with --from_file"
        )


def _fetch(
    source: Source, part: Path, request: Callable[[str], None], attempts: int, sleep: Callable[[float], object]
) -> None:
    """Downloads the whole, checked file to ``part``."""
    failures = []
    for address in source.addresses:
        try:
            _request_until_whole(address, part, request, attempts, sleep)
        except AddressError as error:
            failures.append(f"{address}\n    {error}")
            continue
        difference = _difference(part, source)
        if not difference:
            return
        # Which bytes are wrong is unknown, so none can be kept.
        discard(part)
        failures.append(f"{address}\n    gave a file that has {difference}; it was deleted")
    raise DownloadError(
        f"{source.file_name} could not be downloaded:\n  "
        + "\n  ".join(failures)
        + "\nWithout a network, fetch it from one of these addresses on another machine and give it with "
        "--from_file PATH"
    )


def _request_until_whole(
    address: str, part: Path, request: Callable[[str], None], attempts: int, sleep: Callable[[float], object]
) -> None:
    """Makes requests until ``part`` is whole; raises :class:`AddressError` when this address is given up."""
    failed_in_a_row, furthest = 0, _length(part)
    while True:
        try:
            request(address)
            return
        except TransientError as error:
            # Measured against the furthest point, not the last: a server that cannot resume and always
            # breaks at the same byte must not be asked for ever.
            failed_in_a_row = 1 if _length(part) > furthest else failed_in_a_row + 1
            furthest = max(furthest, _length(part))
            if failed_in_a_row >= attempts:
                raise AddressError(f"{error} (given up after {attempts} attempts)") from error
            sleep(min(_FIRST_PAUSE_SECONDS * 2 ** (failed_in_a_row - 1), _LONGEST_PAUSE_SECONDS))


def _length(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _difference(file: Path, source: Source) -> str:
    """Returns how a file differs from the published one; empty if in nothing that is known of that."""
    size = file.stat().st_size
    if source.size is not None and size != source.size:
        return f"{size:,} bytes, expected {source.size:,}"
    if source.digest is None:
        return ""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, source.digest.algorithm).hexdigest()
    if digest.startswith(source.digest.hexadecimal):
        return ""
    return f"{source.digest.algorithm} {digest}, expected {source.digest.hexadecimal}"

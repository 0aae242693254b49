"""One HTTP request for the bytes that a partial file still lacks.

The first bytes of a remote file lie in ``NAME.part``, and ``NAME.part.json`` says of which remote file they are:
its address, its validator (the ETag or the date that the server gave) and its length. The next request asks
for the rest only, and only if the file is still that one (RFC 9110, sections 13.1.5 and 14.2). Whenever that
cannot be known, the transfer starts over.
"""

import http.client
import json
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from gradcam_jax.errors import DownloadError

Progress = Callable[[int, int | None], object]
"""Called with the bytes on disk so far and the bytes in all, None where the server does not say."""

_CHUNK_BYTES = 1 << 20
# Request Timeout, Range Not Satisfiable (the next try starts over), Too Many Requests.
_TRANSIENT_STATUSES = (408, 416, 429)


class AddressError(Exception):
    """This address cannot give the file; another may."""


class TransientError(AddressError):
    """The connection or the server failed; another try may succeed."""


class Remote(NamedTuple):
    """The remote file that a partial file is part of; its validator is a strong ETag or a Last-Modified date."""

    address: str
    validator: str | None
    size: int | None


def transfer(
    address: str,
    part: Path,
    *,
    size: int | None,
    mixing_is_noticed: bool,
    timeout: float,
    progress: Progress,
) -> None:
    """Appends the bytes that ``part`` still lacks, with one request; the server may be silent for ``timeout`` s.

    Without a digest, by which the caller notices the mixing of two files, bytes are added to a partial file only
    if the server vouches that they belong together. After an error, ``part`` holds the bytes that arrived.

    Raises:
        TransientError: If another try may succeed.
        AddressError: If another try at this address would not.
        DownloadError: If the disk is full or cannot be written; no address would help.
    """
    remote, offset = _held(part, address, mixing_is_noticed)
    if remote is not None and offset == remote.size:
        return  # A former run was stopped between the last byte and the check.
    request = urllib.request.Request(address, headers={"Accept-Encoding": "identity"})
    if remote is not None and offset:
        request.add_header("Range", f"bytes={offset}-")
        if remote.validator is not None:
            request.add_header("If-Range", remote.validator)
    with _opened(request, timeout, part) as response:
        start, total = _extent(response)
        offered = Remote(address, _validator(response), size if total is None else total)
        if start and not (start == offset and _same(remote, offered)):
            discard(part)
            raise TransientError("the server sent the rest of another file; starting over")
        if size is not None and offered.size != size:
            raise AddressError(f"offers a file of {offered.size:,} bytes, expected {size:,}")
        _write(response, part, start, offered, progress)


def discard(part: Path) -> None:
    """Removes a partial file and its note."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _held(part: Path, address: str, mixing_is_noticed: bool) -> tuple[Remote | None, int]:
    """Reads which remote file ``part`` is of and how many bytes of it may be kept."""
    try:
        remote = Remote(**json.loads(_note(part).read_text(encoding="utf-8")))
        offset = part.stat().st_size
    except (FileNotFoundError, ValueError, TypeError):
        return None, 0  # No partial file, or its note was cut short: start over.
    if remote.address != address or (remote.validator is None and not mixing_is_noticed):
        return None, 0
    return remote, offset


def _opened(request: urllib.request.Request, timeout: float, part: Path) -> http.client.HTTPResponse:
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            answer = f"the server answered {error.code} {error.reason}"
        if error.code == 416:
            discard(part)
        transient = error.code >= 500 or error.code in _TRANSIENT_STATUSES
        raise (TransientError if transient else AddressError)(answer) from error
    except (OSError, http.client.HTTPException) as error:
        # URLError wraps what failed before the request was sent, and nothing later.
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(cause, TimeoutError):
            raise TransientError(f"no answer within {timeout:g} s") from error
        if isinstance(cause, (ConnectionResetError, ConnectionAbortedError, http.client.HTTPException)):
            raise TransientError(f"the connection was cut: {cause}") from error
        raise AddressError(f"cannot be reached: {cause}") from error
    if response.headers.get_content_type() == "text/html":
        # Addresses that have moved often answer 200 and the site's front page.
        response.close()
        raise AddressError("answered with a web page instead of the file")
    return response


def _extent(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Returns which byte of the file the body starts at and how long the whole file is."""
    if response.status == 200:
        return 0, response.length
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if response.status != 206 or match is None:
        raise AddressError(f"the server answered {response.status} {response.reason} without the file")
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _same(held: Remote | None, offered: Remote) -> bool:
    # A server that ignores If-Range still shows the change in the other headers. A 206 may leave out
    # the date (RFC 9110, section 15.3.7), so a missing validator is no difference.
    if held is None:
        return False
    return held.size == offered.size and offered.validator in (None, held.validator)


def _validator(response: http.client.HTTPResponse) -> str | None:
    etag = response.headers.get("ETag")
    # If-Range must not carry a weak ETag: it may name two files that differ in their bytes.
    if etag is not None and not etag.startswith("W/"):
        return etag
    return response.headers.get("Last-Modified")


def _write(response: http.client.HTTPResponse, part: Path, start: int, remote: Remote, progress: Progress) -> None:
    total, done = remote.size, start
    try:
        with part.open("ab" if start else "wb") as file:
            if not start:
                # After the truncation, so that the note never describes an older file's bytes.
                _note(part).write_text(json.dumps(remote._asdict()), encoding="utf-8")
            _require_space(part, total, done)
            progress(done, total)
            for chunk in _chunks(response):
                done += len(chunk)
                if total is not None and done > total:
                    break
                file.write(chunk)
                progress(done, total)
            # A power cut after the renaming must not leave an empty file under the final name.
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DownloadError(f"cannot write {part}: {error.strerror}") from error
    if total is not None and done > total:
        discard(part)
        raise AddressError(f"sent more than the {total:,} bytes of the file")
    if total is not None and done < total:
        raise TransientError(f"the connection was cut after {done:,} of {total:,} bytes")


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            # read1 returns what has arrived; read would wait for a whole chunk and lose it with the connection.
            chunk = response.read1(_CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            # Converted here, so that an OSError in _write can only be the disk's.
            raise TransientError(f"the connection was cut: {error!r}") from error
        if not chunk:
            return
        yield chunk


def _require_space(part: Path, total: int | None, done: int) -> None:
    if total is None:
        return
    free = shutil.disk_usage(part.parent).free
    if free < total - done:
        raise DownloadError(
            f"{part.parent} has {free / 1e6:,.1f} MB free, {(total - done) / 1e6:,.1f} MB are needed for "
            f"{part.name.removesuffix('.part')}: free some space or choose another folder"
        )

"""Paths on this machine and in object stores, by one interface: pathlib's.

A name with a scheme (``s3://bucket/run``, ``gs://``, ``memory://``) is opened by universal_pathlib over fsspec;
every other name is a path as ever.
"""

import os
from pathlib import Path
from typing import Any

from gradcam_jax.errors import InputError
from gradcam_jax.formats.whole_file import write_whole

SCHEME = "://"


def path_of(name: str | os.PathLike[str]) -> Any:
    """Returns a ``pathlib.Path``, or what has its methods for a name with a scheme.

    Raises:
        InputError: If the packages for the scheme are not installed.
    """
    if SCHEME not in str(name):
        return Path(name)
    try:
        from upath import UPath

        return UPath(name)
    except (ImportError, ValueError) as error:
        raise InputError(
            f"{str(name)!r} cannot be opened: {error}. Install the extra `ray` and the scheme's package "
            "(s3fs for s3://, gcsfs for gs://)."
        ) from error


def is_remote(path: Any) -> bool:
    """Tells whether a path lies in an object store."""
    return SCHEME in str(path)


def write_file(path: Any, content: bytes | str) -> None:
    """Writes a file whole or not at all: an object store's put is, a local file is renamed when it is synced."""
    if is_remote(path):
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    else:
        write_whole(path, content)

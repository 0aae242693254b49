"""Extracts the one file that is needed from a published zip archive."""

import fnmatch
import shutil
import zipfile
import zlib
from pathlib import Path

from gradcam_jax.errors import DownloadError
from gradcam_jax.formats.whole_file import replacing


def unpack(archive: str | Path, pattern: str, folder: str | Path) -> Path:
    """Extracts the one member whose file name fits a shell pattern, whatever folder it lies in.

    Only the member's last name is used, so that an archive cannot choose a path. The file is renamed into place
    when whole and its checksum is right; one already there, of the member's length, is kept.

    Raises:
        DownloadError: If this is not a zip file, it is damaged, none or several of its members fit, or the disk
            is full.
    """
    archive, folder = Path(archive), Path(folder)
    try:
        with zipfile.ZipFile(archive) as opened:
            member = _only_member(opened, pattern, archive)
            file = folder / Path(member.filename).name
            if not file.is_file() or file.stat().st_size != member.file_size:
                # Reading to the end checks the member's CRC-32.
                with opened.open(member) as packed, replacing(file) as unpacked:
                    shutil.copyfileobj(packed, unpacked, 1 << 20)
    # NotImplementedError: zipfile does not know how a member is compressed.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DownloadError(f"{archive} is no sound zip file ({error}): delete it and download again") from error
    except OSError as error:
        raise DownloadError(f"cannot unpack {archive} into {folder}: {error.strerror}") from error
    return file


def _only_member(opened: zipfile.ZipFile, pattern: str, archive: Path) -> zipfile.ZipInfo:
    # Archives made on a Mac carry a shadow __MACOSX/._NAME of each file.
    members = [
        member
        for member in opened.infolist()
        if fnmatch.fnmatch(Path(member.filename).name, pattern)
        and not member.is_dir()
        and not member.filename.startswith("__MACOSX/")
    ]
    if len(members) != 1:
        names = ", ".join(member.filename for member in (members or opened.infolist())[:10])
        raise DownloadError(
            f"{archive} has {len(members)} files that fit {pattern!r}, expected 1: {names or 'it is empty'}"
        )
    return members[0]

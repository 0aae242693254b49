"""Taking one file out of a published archive."""

import random
import zipfile

import pytest

from gradcam_jax.downloads.unpack import unpack
from gradcam_jax.errors import DownloadError

WEIGHTS = random.Random(0).randbytes(50_000)


def zip_of(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def archive(tmp_path):
    return zip_of(
        tmp_path / "a.zip",
        **{"model/lstm.t7": WEIGHTS, "model/readme.txt": b"", "__MACOSX/model/._lstm.t7": b"shadow"},
    )


def test_the_member_is_found_in_any_folder(archive, tmp_path):
    path = unpack(archive, "*.t7", tmp_path / "out")
    assert path == tmp_path / "out" / "lstm.t7"
    assert path.read_bytes() == WEIGHTS
    assert [file.name for file in path.parent.iterdir()] == ["lstm.t7"]


def test_a_member_already_unpacked_is_kept(archive, tmp_path):
    path = unpack(archive, "*.t7", tmp_path)
    before = path.stat().st_mtime_ns, path.stat().st_ino
    assert unpack(archive, "*.t7", tmp_path) == path
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


def test_an_archive_cannot_choose_the_path(tmp_path):
    archive = zip_of(tmp_path / "a.zip", **{"../../outside.t7": WEIGHTS})
    assert unpack(archive, "*.t7", tmp_path / "in" / "side") == tmp_path / "in" / "side" / "outside.t7"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), r"0 files that fit '\*\.t7', expected 1: it is empty"),
        (("data.json",), r"0 files that fit '\*\.t7', expected 1: data\.json"),
        (("a.t7", "b.t7", "c"), r"2 files that fit '\*\.t7', expected 1: a\.t7, b\.t7"),
    ],
)
def test_anything_but_one_fitting_member_is_an_error(tmp_path, names, message):
    archive = zip_of(tmp_path / "a.zip", **dict.fromkeys(names, b""))
    with pytest.raises(DownloadError, match=message):
        unpack(archive, "*.t7", tmp_path)


def test_a_damaged_archive_leaves_nothing(archive, tmp_path):
    content = bytearray(archive.read_bytes())
    content[20_000:20_010] = bytes(10)  # In the middle of the packed weights.
    archive.write_bytes(content)
    with pytest.raises(DownloadError, match="no sound zip file"):
        unpack(archive, "*.t7", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_that_is_no_archive_is_an_error(tmp_path):
    (tmp_path / "a.zip").write_bytes(WEIGHTS)
    with pytest.raises(DownloadError, match="no sound zip file"):
        unpack(tmp_path / "a.zip", "*.t7", tmp_path)
    with pytest.raises(DownloadError, match=r"cannot unpack .*: No such file"):
        unpack(tmp_path / "none.zip", "*.t7", tmp_path)

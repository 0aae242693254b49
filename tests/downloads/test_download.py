"""The downloader against a real server on the loopback interface: what arrives, and what cannot."""

import errno
import hashlib
import os
import shutil
import socket
import threading
from pathlib import Path

import pytest

from gradcam_jax.downloads.download import verify
from gradcam_jax.downloads.sources import Digest
from gradcam_jax.errors import DownloadError, InputError
from tests.downloads import loopback_server
from tests.downloads.loopback_server import file, hang_up, status
from tests.downloads.published_file import BODY, OTHER, SHA256, Sleeps, fetch, left_in, source


@pytest.fixture(scope="module")
def server():
    with loopback_server.serving() as server:
        yield server


# A whole file.


@pytest.mark.parametrize("size", [len(BODY), None])
@pytest.mark.parametrize(
    "digest",
    [SHA256, Digest("sha256", SHA256.hexadecimal[:8]), Digest("sha1", hashlib.sha1(BODY).hexdigest()), None],
    ids=["sha256", "prefix", "sha1", "none"],
)
def test_a_file_arrives_whole_and_alone(server, tmp_path, size, digest):
    address = server.plan(file(BODY))
    path = fetch(source(address, size=size, digest=digest), tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "weights.bin"
    assert path.read_bytes() == BODY
    assert left_in(path.parent) == ["weights.bin"]


def test_a_file_already_there_is_checked_and_not_fetched(server, tmp_path):
    address = server.plan(status(404))
    (tmp_path / "weights.bin").write_bytes(BODY)
    seen = []
    fetch(source(address), tmp_path, progress=lambda *step: seen.append(step))
    assert server.ranges == []
    assert seen == [(len(BODY), len(BODY))]


def test_another_file_of_that_name_is_left_alone(server, tmp_path):
    address = server.plan(file(BODY))
    (tmp_path / "weights.bin").write_bytes(OTHER)
    with pytest.raises(DownloadError, match=r"not the published weights\.bin: it has sha256 .* expected"):
        fetch(source(address), tmp_path)
    assert (tmp_path / "weights.bin").read_bytes() == OTHER


def test_progress_rises_to_the_size(server, tmp_path):
    address = server.plan(file(BODY, cut_after=100_000), file(BODY))
    seen = []
    fetch(source(address), tmp_path, progress=lambda done, total: seen.append((done, total)))
    done = [step[0] for step in seen]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, len(BODY))
    assert {total for _, total in seen} == {len(BODY)}


def test_the_final_name_is_not_there_before_the_end(server, tmp_path):
    address = server.plan(file(BODY, cut_after=100_000), file(BODY))
    seen = []
    fetch(source(address), tmp_path, progress=lambda *_: seen.append((tmp_path / "weights.bin").exists()))
    assert len(seen) > 2
    assert not any(seen)


# Failures.


def test_a_server_in_trouble_is_tried_again_after_growing_pauses(server, tmp_path):
    address = server.plan(status(503), status(500), hang_up, status(429), file(BODY))
    sleeps = Sleeps()
    assert fetch(source(address), tmp_path, sleep=sleeps).read_bytes() == BODY
    assert sleeps == [1.0, 2.0, 4.0, 8.0]


def test_a_server_that_stays_in_trouble_is_given_up(server, tmp_path):
    address = server.plan(status(503))
    sleeps = Sleeps()
    with pytest.raises(DownloadError, match=r"answered 503 .* \(given up after 9 attempts\)"):
        fetch(source(address), tmp_path, sleep=sleeps, attempts=9)
    assert sleeps == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_a_missing_file_is_not_asked_for_again(server, tmp_path):
    address = server.plan(status(404))
    with pytest.raises(DownloadError, match="the server answered 404 Not Found"):
        fetch(source(address), tmp_path, sleep=pytest.fail)
    assert len(server.ranges) == 1
    assert left_in(tmp_path) == []


def test_a_silent_server_is_tried_again(server, tmp_path):
    heard = threading.Event()
    address = server.plan(lambda _: heard.wait(5.0), file(BODY))
    sleeps = Sleeps()

    def wake(seconds):
        sleeps.append(seconds)
        heard.set()

    assert fetch(source(address), tmp_path, timeout=0.2, sleep=wake).read_bytes() == BODY
    assert sleeps == [1.0]


def test_the_next_address_is_tried(server, tmp_path):
    address = server.plan(status(404), file(BODY))
    assert fetch(source(address + "?first", address + "?second"), tmp_path).read_bytes() == BODY


def test_a_wrong_digest_is_refused_and_nothing_is_kept(server, tmp_path):
    address = server.plan(file(OTHER))
    with pytest.raises(DownloadError, match=f"sha256 .* expected {SHA256.hexadecimal}; it was deleted"):
        fetch(source(address), tmp_path)
    assert left_in(tmp_path) == []


def test_a_wrong_size_is_refused_before_anything_is_written(server, tmp_path):
    address = server.plan(file(BODY[:1000]))
    with pytest.raises(DownloadError, match="offers a file of 1,000 bytes, expected 300,000"):
        fetch(source(address), tmp_path)
    assert left_in(tmp_path) == []


def test_a_body_longer_than_the_published_size_is_refused(server, tmp_path):
    address = server.plan(file(BODY, announce=False))
    with pytest.raises(DownloadError, match="sent more than the 100,000 bytes"):
        fetch(source(address, size=100_000, digest=None), tmp_path)
    assert left_in(tmp_path) == []


def test_a_body_shorter_than_the_published_size_is_refused(server, tmp_path):
    address = server.plan(file(BODY, announce=False, ranges=False))
    with pytest.raises(DownloadError, match="cut after 300,000 of 400,000"):
        fetch(source(address, size=400_000, digest=None), tmp_path, attempts=2)
    assert not (tmp_path / "weights.bin").exists()


def test_a_web_page_in_place_of_the_file_is_refused(server, tmp_path):
    address = server.plan(file(b"<html>moved</html>", content_type="text/html; charset=utf-8"))
    with pytest.raises(DownloadError, match="a web page instead of the file"):
        fetch(source(address, size=None, digest=None), tmp_path)


def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_without_a_network_the_error_tells_the_way_on(tmp_path, monkeypatch):
    def no_such_name(*_args, **_keywords):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    with pytest.raises(InputError) as caught:
        fetch(source("http://weights.example/a.bin", "https://copy.example/a.bin"), tmp_path, sleep=pytest.fail)
    message = str(caught.value)
    for part in ("http://weights.example/a.bin", "https://copy.example/a.bin", "not known", "--from_file"):
        assert part in message


def test_a_refused_connection_is_not_tried_again(server, tmp_path):
    address = f"http://127.0.0.1:{unused_port()}/weights.bin"
    with pytest.raises(DownloadError, match="cannot be reached"):
        fetch(source(address), tmp_path, sleep=pytest.fail)


# The disk.


def test_too_little_free_space_is_said_before_anything_is_written(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    address = server.plan(file(BODY))
    with pytest.raises(DownloadError, match=r"has 0\.1 MB free, 0\.3 MB are needed for weights\.bin: free some"):
        fetch(source(address, address), tmp_path)
    assert len(server.ranges) == 1  # No other address would help.


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full, a disk that is full")
def test_a_disk_that_fills_up_is_said(server, tmp_path):
    (tmp_path / "weights.bin.part").symlink_to("/dev/full")
    address = server.plan(file(BODY))
    with pytest.raises(DownloadError, match=f"cannot write .*: {os.strerror(errno.ENOSPC)}"):
        fetch(source(address, address), tmp_path)
    assert len(server.ranges) == 1
    assert not (tmp_path / "weights.bin").exists()


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match=r"cannot keep weights\.bin in .*file/folder: Not a directory"):
        fetch(source("http://127.0.0.1:1/"), tmp_path / "file" / "folder")


# A file fetched by other means.


def test_verify_accepts_the_published_file_under_any_name(tmp_path):
    (tmp_path / "mine.bin").write_bytes(BODY)
    verify(tmp_path / "mine.bin", source())


def test_verify_tells_what_differs(tmp_path):
    (tmp_path / "short.bin").write_bytes(BODY[:-1])
    with pytest.raises(DownloadError, match="it has 299,999 bytes, expected 300,000"):
        verify(tmp_path / "short.bin", source())
    with pytest.raises(DownloadError, match=r"cannot read .*none\.bin: No such file"):
        verify(tmp_path / "none.bin", source())

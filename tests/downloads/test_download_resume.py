"""Going on with a partial file: after a break, in the next program, and beside another program."""

import hashlib
import json
import threading
import time

import pytest

from gradcam_jax.downloads.sources import Digest
from gradcam_jax.downloads.transfer import Remote
from gradcam_jax.errors import DownloadError
from tests.downloads import loopback_server
from tests.downloads.loopback_server import file, status
from tests.downloads.published_file import BODY, OTHER, SHA256, Sleeps, fetch, left_in, source


@pytest.fixture(scope="module")
def server():
    with loopback_server.serving() as server:
        yield server


def stopped_download(server, folder, *, bytes_kept, etag='"one"', **known):
    """Leaves what a download that was given up leaves, and its address."""
    address = server.plan(file(BODY, etag=etag, cut_after=bytes_kept), status(404))
    with pytest.raises(DownloadError):
        fetch(source(address, **known), folder)
    assert (folder / "weights.bin.part").read_bytes() == BODY[:bytes_kept]
    return address


# Going on after a break.


def test_a_cut_connection_is_resumed_by_range(server, tmp_path):
    address = server.plan(file(BODY, cut_after=100_000), file(BODY, cut_after=50_000), file(BODY))
    sleeps = Sleeps()
    path = fetch(source(address), tmp_path, sleep=sleeps)
    assert path.read_bytes() == BODY
    assert server.ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert sleeps == [1.0, 1.0]  # Each try brought new bytes, so the pause does not grow.


@pytest.mark.parametrize("digest", [SHA256, None])
def test_a_stopped_download_is_resumed_by_the_next_program(server, tmp_path, digest):
    stopped_download(server, tmp_path, bytes_kept=120_000, digest=digest)
    address = server.plan(file(BODY))
    assert fetch(source(address, digest=digest), tmp_path).read_bytes() == BODY
    assert server.ranges == ["bytes=120000-"]
    assert left_in(tmp_path) == ["weights.bin"]


def test_a_program_stopped_before_the_renaming_needs_no_request(server, tmp_path):
    address = server.plan(file(BODY))
    (tmp_path / "weights.bin.part").write_bytes(BODY)
    note = Remote(address, '"one"', len(BODY))
    (tmp_path / "weights.bin.part.json").write_text(json.dumps(note._asdict()))
    assert fetch(source(address), tmp_path).read_bytes() == BODY
    assert server.ranges == []


def test_a_server_without_ranges_is_begun_anew(server, tmp_path):
    address = server.plan(file(BODY, ranges=False, cut_after=100_000), file(BODY, ranges=False))
    assert fetch(source(address), tmp_path).read_bytes() == BODY
    assert server.ranges == [None, "bytes=100000-"]


def test_a_server_that_can_neither_resume_nor_finish_is_given_up(server, tmp_path):
    address = server.plan(file(BODY, ranges=False, cut_after=100_000))
    with pytest.raises(DownloadError, match=r"cut after 100,000 of 300,000 bytes \(given up after 3"):
        fetch(source(address), tmp_path, attempts=3)
    assert len(server.ranges) == 3


@pytest.mark.parametrize("digest", [SHA256, None])
def test_a_file_changed_between_the_parts_is_begun_anew(server, tmp_path, digest):
    stopped_download(server, tmp_path, bytes_kept=120_000, etag='"old"', digest=digest)
    address = server.plan(file(BODY, etag='"new"'))
    assert fetch(source(address, digest=digest), tmp_path).read_bytes() == BODY


def test_a_change_that_the_server_does_not_mind_is_noticed(server, tmp_path):
    def careless(handler):  # Sends the rest of the new file although If-Range names the old one.
        handler.headers.replace_header("If-Range", '"new"')
        file(OTHER, etag='"new"')(handler)

    stopped_download(server, tmp_path, bytes_kept=120_000, etag='"old"', digest=None)
    address = server.plan(careless, file(OTHER, etag='"new"'))
    assert fetch(source(address, digest=None), tmp_path).read_bytes() == OTHER
    assert server.ranges == ["bytes=120000-", None]


def test_parts_from_two_addresses_are_not_joined(server, tmp_path):
    stopped_download(server, tmp_path, bytes_kept=120_000, digest=None)
    address = server.plan(file(OTHER)) + "?copy"
    assert fetch(source(address, digest=None), tmp_path).read_bytes() == OTHER
    assert server.ranges == [None]


def test_a_rest_sent_without_an_etag_does_not_end_the_resuming(server, tmp_path):
    def terse(handler):
        del handler.headers["If-Range"]
        file(BODY, etag=None, cut_after=50_000)(handler)

    address = server.plan(file(BODY, cut_after=100_000), terse, file(BODY))
    assert fetch(source(address, digest=None), tmp_path).read_bytes() == BODY
    assert server.ranges == [None, "bytes=100000-", "bytes=150000-"]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_parts_that_nobody_vouches_for_are_not_joined(server, tmp_path, etag):
    stopped_download(server, tmp_path, bytes_kept=120_000, etag=etag, digest=None)
    address = server.plan(file(BODY, etag=etag))
    assert fetch(source(address, digest=None), tmp_path).read_bytes() == BODY
    assert server.ranges == [None]


def test_a_partial_file_longer_than_the_remote_one_is_begun_anew(server, tmp_path):
    stopped_download(server, tmp_path, bytes_kept=120_000, size=None)
    short = BODY[:1000]
    address = server.plan(file(short, etag='"one"'))
    known = source(address, size=None, digest=Digest("sha256", hashlib.sha256(short).hexdigest()))
    assert fetch(known, tmp_path).read_bytes() == short
    assert server.ranges == ["bytes=120000-", None]


def test_a_damaged_note_is_begun_anew(server, tmp_path):
    stopped_download(server, tmp_path, bytes_kept=120_000)
    (tmp_path / "weights.bin.part.json").write_text('{"address": "htt')
    address = server.plan(file(BODY))
    assert fetch(source(address), tmp_path).read_bytes() == BODY
    assert server.ranges == [None]


# Two at once.


def run_beside(function):
    """Runs a function in a thread; the returned call waits for it and gives its result."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()

    def result():
        thread.join(10.0)
        return results[0]

    return result


def test_two_downloads_of_one_file_make_one_request(server, tmp_path):
    first_is_served, second_waits = threading.Event(), threading.Event()

    def slow(handler):
        first_is_served.set()
        second_waits.wait(5.0)
        file(BODY)(handler)

    def wait(_seconds):
        second_waits.set()
        time.sleep(0.005)

    address = server.plan(slow)
    first = run_beside(lambda: fetch(source(address), tmp_path))
    assert first_is_served.wait(5.0)
    second = fetch(source(address), tmp_path, sleep=wait)
    assert second_waits.is_set()
    assert first() == second
    assert second.read_bytes() == BODY
    assert server.ranges == [None]


def test_the_second_download_goes_on_where_the_first_failed(server, tmp_path):
    first_is_served, second_waits = threading.Event(), threading.Event()

    def slow_and_cut(handler):
        first_is_served.set()
        second_waits.wait(5.0)
        file(BODY, cut_after=100_000)(handler)

    def wait(_seconds):
        second_waits.set()
        time.sleep(0.005)

    def failing():
        with pytest.raises(DownloadError, match="404"):
            fetch(source(address), tmp_path)
        return True

    address = server.plan(slow_and_cut, status(404), file(BODY))
    first = run_beside(failing)
    assert first_is_served.wait(5.0)
    second = fetch(source(address), tmp_path, sleep=wait)
    assert first()
    assert second.read_bytes() == BODY
    assert server.ranges == [None, "bytes=100000-", "bytes=100000-"]

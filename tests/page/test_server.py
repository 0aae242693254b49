"""The page's server as a visitor meets it: what is taken, what is refused, what is kept."""

import contextlib
import io
import json
import socket
import threading

import PIL.Image
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.page import Limits, explaining, make_server
from gradcam_jax.page.visits import read_upload
from tests.page.served import LIMITS, Visitor, photo_bytes, served


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"label": "bokser"}, "There is no class 'bokser'. Nearest: boxer (243)"),
        ({"label": "1,2,3,4"}, "at most 3 at once, got 4"),
        ({"task": "vqa", "answer": "dgo"}, "'dgo' is none of the 5 answers this model knows. Nearest: dog"),
        ({"task": "vqa", "question": "   ?" * 200}, "Expected a question of at most 400 letters"),
        ({"task": "captioning", "caption": "a " * 17}, "at most 16 words"),
        ({"task": "captioning", "caption": "?!"}, "at least one letter"),
        ({"layer": "relu9"}, "no layer 'relu9'"),
        ({"size": 1000}, "Expected a size of 224, 320, 448, got 1000"),
        ({"task": "captioning", "method": "finer_cam"}, "Finer-CAM compares classes or answers"),
        ({"method": "magic"}, "There is no method 'magic'"),
        ({"model": "/etc/passwd"}, "There is no model '/etc/passwd'"),
        ({"model": "small_vqa"}, "small_vqa is no classifier"),
        ({"task": "magic"}, "There is no task 'magic'"),
        ({"size": "x"}, "Expected a JSON object"),
    ],
)
def test_what_cannot_be_had_gets_a_sentence(visitor, asked, sentence):
    answer = visitor.ask(f"/api/photos/{visitor.begin()}/explain", {"task": "classification", **asked})
    assert answer.status == 400
    assert sentence in answer.json["error"]
    assert "--" not in answer.json["error"]
    assert "Traceback" not in answer.json["error"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "'a.png' is empty"),
        (b"not a photo", "'a.png' is not an image"),
        (photo_bytes()[:300], "'a.png' cannot be decoded"),
        (photo_bytes((201, 100), mode="L"), "'a.png' has 201 x 100 pixels; at most 0.02 million"),
    ],
)
def test_a_bad_file_gets_a_sentence(visitor, content, sentence):
    answer = visitor.ask("/api/photos?name=a.png", content)
    assert answer.status == 400
    assert sentence in answer.json["error"]


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "CMYK"])
def test_photos_of_every_kind_are_taken(visitor, mode):
    photo = visitor.begin(photo_bytes(kind="TIFF", mode=mode))
    assert visitor.picture(f"/api/photos/{photo}/photo").shape == (40, 60, 3)


def test_pixels_are_counted_before_they_are_decoded(monkeypatch):
    bombs = []
    for side in (11_000, 20_000):
        bomb = io.BytesIO()
        PIL.Image.new("1", (side, side)).save(bomb, "PNG")
        assert len(bomb.getvalue()) < 60_000
        bombs.append(bomb.getvalue())
    monkeypatch.setattr(PIL.Image.Image, "load", lambda *_: pytest.fail("decoded"))
    for bomb, sentence in zip(bombs, ("has 11000 x 11000 pixels", "has far too many pixels"), strict=True):
        with pytest.raises(InputError, match=f"'bomb.png' {sentence}; at most 0.02 million are taken"):
            read_upload(bomb, "bomb.png", LIMITS)


def test_too_many_bytes_are_refused(server):
    answer = Visitor(server).ask("/api/photos", b"x" * 60_000)
    assert (answer.status, answer.json["error"]) == (413, "This file has 0.1 MB; at most 0.05 MB are taken here.")
    answer = Visitor(server).ask("/api/photos/x/explain", b"x" * 30_000)
    assert answer.status == 413
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as connection:
        connection.sendall(b"POST /api/photos HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1000)  # and no memory was asked for
    assert Visitor(server).ask("/").status == 200


def test_a_length_is_expected(server):
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as connection:
        connection.sendall(b"POST /api/photos HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert connection.recv(1000).split()[1] == b"411"


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/etc/passwd",
        "//etc/passwd",
        "/page.css/../server.py",
        "/server.py",
        "/static/page.js",
        "/api",
        "/api/",
        "/api/examples/..%2f..%2fsecret",
        "/api/photos/..%2f..%2fetc/passwd",
        "/api/photos/x/y/..%2f..%2fetc%2fpasswd",
        "/api/layers?model=/etc/passwd&task=vqa",
        "/\x00",
    ],
)
def test_no_file_of_the_machine_is_served(server, path):
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        received = b"".join(iter(lambda: connection.recv(4096), b""))
    assert received.split()[1] in (b"404", b"400")
    assert b"root:" not in received
    assert b"import" not in received


def test_the_page_reaches_nothing_else(visitor):
    for path in ("/", "/page.js", "/page.css"):
        answer = visitor.ask(path)
        assert answer.status == 200
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
        addresses = answer.body.replace(b"http://www.w3.org/2000/svg", b"").replace(b"'http://www.w3.org", b"")
        assert b"http:" not in addresses
        assert b"https:" not in addresses
        assert b"//" not in addresses.replace(b"// ", b"")


def test_other_sites_cannot_ask_in_a_visitors_name(visitor):
    body = photo_bytes()
    assert visitor.ask("/api/photos", body, headers={"Origin": "http://evil.example"}).status == 403
    own = {"Origin": f"http://127.0.0.1:{visitor.port}"}
    assert visitor.ask("/api/photos", body, headers=own).status == 200
    # A name that somebody lets point to 127.0.0.1 is not this machine's.
    assert visitor.ask("/", headers={"Host": "evil.example"}).status == 403


def test_it_listens_on_this_machine_alone():
    with make_server() as server:
        assert server.server_address[0] == "127.0.0.1"
        assert server.only_here
    with make_server("0.0.0.0") as server:
        assert not server.only_here


def test_a_port_that_is_taken_is_said(server):
    with pytest.raises(InputError, match=r"Cannot listen at 127\.0\.0\.1, port .*--port 0"):
        make_server(port=server.server_port)


def test_a_photo_is_forgotten_with_the_visit(server, visitor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo = visitor.begin()
    said = visitor.explain(photo)
    assert visitor.ask(f"/api/photos/{photo}/forget", b"").status == 200
    for path in (f"/api/photos/{photo}/photo", f"/api/photos/{photo}/{said['name']}/numbers"):
        answer = visitor.ask(path)
        assert (answer.status, answer.json["error"]) == (
            404,
            "This photo is not kept any more. Choose it once more.",
        )
    assert visitor.ask(f"/api/photos/{photo}/explain", {"task": "vqa"}).status == 404
    photos = [visitor.begin() for _ in range(4)]
    assert len(server.answers.visits) == 3
    assert visitor.ask(f"/api/photos/{photos[0]}/photo").status == 404
    assert not list(tmp_path.iterdir())


def test_a_visitors_photo_is_found_by_nobody_else(visitor):
    names = {visitor.begin() for _ in range(3)}
    assert len(names) == 3
    assert all(len(name) >= 24 for name in names)


def test_a_second_visitor_is_answered_while_the_first_waits(server, monkeypatch):
    go_on, started = threading.Event(), threading.Event()
    keep, first, second = explaining.keep_photo, Visitor(server), Visitor(server)
    slow = server.answers.visits.get(slow_photo := first.begin())

    def keep_slowly(task, photo):
        if photo is slow.photo:
            started.set()
            assert go_on.wait(60)
        return keep(task, photo)

    monkeypatch.setattr(explaining, "keep_photo", keep_slowly)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(first.explain(slow_photo)))
    thread.start()
    assert started.wait(60)
    said = second.explain(second.begin(photo_bytes(seed=1)))
    assert said["rows"]
    assert not answers
    go_on.set()
    thread.join(60)
    assert answers[0]["rows"]


def test_too_many_connections_are_told_to_come_again():
    with served(Limits(connections=2)) as server, contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.server_port), timeout=60))
        last = stack.enter_context(socket.create_connection(("127.0.0.1", server.server_port), timeout=60))
        assert last.recv(1000).split()[1] == b"503"


def test_a_mistake_in_the_program_is_a_sentence_for_its_visitor_alone(visitor, monkeypatch, capsys):
    photo = visitor.begin()

    def fail(*_):
        raise RuntimeError("secret")

    monkeypatch.setattr(explaining, "keep_photo", fail)
    answer = visitor.ask(f"/api/photos/{photo}/explain", {"task": "classification"})
    assert (answer.status, answer.json) == (500, {"error": "Something went wrong here: RuntimeError."})
    assert "secret" in capsys.readouterr().err
    monkeypatch.undo()
    assert visitor.explain(photo)["rows"]


def test_what_is_sent_may_be_anything(visitor):
    photo = visitor.begin()
    for body in (
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"task": 3}',
        b'"' * 100,
        b"[" * 9000,
        json.dumps({"task": []}).encode(),
    ):
        assert visitor.ask(f"/api/photos/{photo}/explain", body).status == 400
    for path in ("layer?row=x", "layer?row=99", "overlay?opacity=x", "overlay?opacity=2", "secret"):
        said = visitor.explain(photo)
        assert visitor.ask(f"/api/photos/{photo}/{said['name']}/{path}").status == 400

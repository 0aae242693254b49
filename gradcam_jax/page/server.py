"""The page's server: HTTP over :mod:`gradcam_jax.page.answers`.

It serves the page's own files, by name, and what visitors' own photos give; no path that is asked for is looked up
on the machine. A thread a connection, so that nobody waits for another's photo to be explained.
"""

import importlib.resources
import json
import socket
import threading
import traceback
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from gradcam_jax.errors import InputError
from gradcam_jax.page.answers import Answers, sentence_of
from gradcam_jax.page.files import File
from gradcam_jax.page.visits import ForgottenError, Limits
from gradcam_jax.zoo import Loaded

_PAGE = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_HERE = ("127.0.0.1", "localhost", "::1")
_LONGEST_JSON = 20_000
_CHUNK = 1 << 16
_PATIENCE = 30.0  # seconds that a connection may say nothing


class PageServer(ThreadingHTTPServer):
    """The server of one page; ``answers`` is what it answers."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], answers: Answers) -> None:
        """Listens at an address."""
        self.answers = answers
        self.only_here = address[0] in _HERE
        self._connections = threading.BoundedSemaphore(answers.limits.connections)
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Gives a connection its thread, or tells it to come again where there are too many."""
        if self._connections.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        request.sendall(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serves a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def service_actions(self) -> None:
        """Forgets, twice a second, what nobody has asked about for too long."""
        self.answers.visits.forget_idle()


def make_server(
    host: str = "127.0.0.1", port: int = 0, limits: Limits | None = None, own: Sequence[Loaded] = ()
) -> PageServer:
    """Returns a server that listens, and serves once its ``serve_forever`` is called.

    Args:
        host: The address to listen at; 127.0.0.1 is this machine alone, 0.0.0.0 is everyone who can reach it.
        port: The port; 0: any that is free.
        limits: What is taken from visitors.
        own: Models that are offered besides the zoo's, first.

    Raises:
        InputError: If it cannot listen there.
    """
    try:
        return PageServer((host, port), Answers(limits or Limits(), own))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"Cannot listen at {host}, port {port}: {reason}. Any free port:  --port 0") from error


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "gradcam_jax", ""
    timeout = _PATIENCE
    server: PageServer

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if self._is_strange():
            return
        if address.path in _PAGE:
            name, kind = _PAGE[address.path]
            content = (importlib.resources.files("gradcam_jax.page") / "static" / name).read_bytes()
            self._send(200, File(content, f"{kind}; charset=utf-8", name))
            return
        self._answer(lambda parts, parameters: self.server.answers.read(parts, parameters))

    do_HEAD = do_GET  # noqa: N815 - the name that the standard library calls

    def do_POST(self) -> None:
        if self._is_strange():
            return
        content = self._body()
        if content is not None:
            self._answer(lambda parts, parameters: self.server.answers.write(parts, parameters, content))

    def _answer(self, answer: Any) -> None:
        address = urlsplit(self.path)
        parts = [unquote(part) for part in address.path.split("/")[1:]]
        parameters = dict(parse_qsl(address.query))
        try:
            file = answer(parts[1:], parameters) if parts[0] == "api" else None
            if file is None:
                self._refuse(404, "There is nothing here.")
            else:
                self._send(200, file, keep="keep" in parameters)
        except ForgottenError as error:
            self._refuse(404, str(error))
        except InputError as error:
            self._refuse(400, sentence_of(error))
        except ConnectionError:
            self.close_connection = True  # Nobody waits for it any more.
        except Exception as error:  # One visitor's trouble is not the others': it is said here, and to them.
            traceback.print_exc()
            self._refuse(500, f"Something went wrong here: {type(error).__name__}.")

    def _is_strange(self) -> bool:
        """Refuses what another site's page asks for in a visitor's name, and names that are not this machine's."""
        host = self.headers.get("Host", "")
        name = urlsplit(f"//{host}").hostname or ""
        origin = self.headers.get("Origin")
        if (self.server.only_here and name not in _HERE) or (origin and urlsplit(origin).netloc != host):
            self.close_connection = True
            self._refuse(403, "This page answers only itself.")
            return True
        return False

    def _body(self) -> bytes | None:
        """Returns what was sent; None, and an answer, where it is too much or its length is not known."""
        limits = self.server.answers.limits
        is_photo = urlsplit(self.path).path == "/api/photos"
        most = limits.photo_bytes if is_photo else _LONGEST_JSON
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            self._refuse(411, "Expected the length of what is sent.")
            return None
        if int(length) > most:
            self.close_connection = True
            self._read(min(int(length), 4 * limits.photo_bytes), keep=False)  # else a browser hears nothing
            what = f"This file has {int(length) / 1e6:.1f} MB; at most" if is_photo else "At most"
            self._refuse(413, f"{what} {most / 1e6:g} MB are taken here.")
            return None
        return self._read(int(length), keep=True)

    def _read(self, length: int, *, keep: bool) -> bytes:
        chunks, left = [], length
        while left:
            chunk = self.rfile.read(min(left, _CHUNK))
            if not chunk:
                raise ConnectionError("the visitor left")
            left -= len(chunk)
            if keep:
                chunks.append(chunk)
        return b"".join(chunks)

    def _refuse(self, status: int, sentence: str) -> None:
        self._send(status, File(json.dumps({"error": sentence}).encode(), "application/json", "error.json"))

    def _send(self, status: int, file: File, *, keep: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", file.type)
        self.send_header("Content-Length", str(len(file.content)))
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        if keep:
            self.send_header("Content-Disposition", f"attachment; filename*=UTF-8''{quote(file.name)}")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(file.content)

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: what visitors do is theirs."""

"""A page served in this process, and what a visitor without a browser asks it for."""

import contextlib
import http.client
import io
import json
import threading
from urllib.parse import quote

import numpy as np
import PIL.Image

from gradcam_jax.page import Limits, make_server
from gradcam_jax.zoo import DEFAULTS
from tests.app.small_models import TASKS, add_small_models

LIMITS = Limits(photo_bytes=50_000, photo_pixels=20_000, photos=3)


def add_small_defaults(folder, patch):
    """Makes the small models those that the page uses."""
    add_small_models(folder, patch)
    for task in TASKS:
        patch.setitem(DEFAULTS, task, f"small_{task}")


@contextlib.contextmanager
def served(limits=None, own=()):
    """Yields a server that serves."""
    server = make_server(limits=limits or Limits(), own=own)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def photo_bytes(size=(60, 40), seed=0, kind="PNG", mode="RGB"):
    """Returns a photo of random colours as a file."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    content = io.BytesIO()
    PIL.Image.fromarray(pixels).convert(mode).save(content, kind)
    return content.getvalue()


class Answer:
    """A status, headers and a body."""

    def __init__(self, response):
        """Reads a response."""
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def json(self):
        """What the body says."""
        return json.loads(self.body)


class Visitor:
    """Somebody without a browser."""

    def __init__(self, server):
        """Comes to a server."""
        self.port = server.server_port

    def ask(self, path, body=None, *, method=None, headers=None):
        """Returns the answer to what is asked or sent; an object is sent as JSON."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        method = method or ("GET" if body is None else "POST")
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)) as connection:
            connection.request(method, path, body=body, headers={"Connection": "close", **(headers or {})})
            return Answer(connection.getresponse())

    def begin(self, content=None, name="a.png"):
        """Sends a photo and returns its name."""
        answer = self.ask(f"/api/photos?name={quote(name)}", photo_bytes() if content is None else content)
        assert answer.status == 200, answer.body
        return answer.json["photo"]

    def explain(self, photo, **asked):
        """Returns what is said of a photo."""
        answer = self.ask(f"/api/photos/{photo}/explain", {"task": "classification", **asked})
        assert answer.status == 200, answer.body
        return answer.json

    def picture(self, path):
        """Returns a picture's pixels."""
        answer = self.ask(path)
        assert answer.status == 200, answer.body
        return np.asarray(PIL.Image.open(io.BytesIO(answer.body)))

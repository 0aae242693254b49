"""A real HTTP server on 127.0.0.1 that answers each request as the test planned."""

import contextlib
import http.server
import os
import re
import threading
from unittest import mock

# A downloader that never gives up must fail a test, not hang it.
MOST_REQUESTS = 30


class LoopbackServer(http.server.ThreadingHTTPServer):
    """Answers the n-th request with the n-th planned answer, and goes on with the last one."""

    daemon_threads = False  # So that closing the server waits for its threads.

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = []
        self.ranges = []  # The Range header of each request, None where it had none.

    def plan(self, *answers):
        """Sets what is answered from now on, and gives the address to ask."""
        self.answers, self.ranges = list(answers), []
        return f"http://127.0.0.1:{self.server_port}/weights.bin"


class _Handler(http.server.BaseHTTPRequestHandler):
    timeout = 10

    def do_GET(self):
        self.server.ranges.append(self.headers["Range"])
        if len(self.server.ranges) > MOST_REQUESTS:
            self.send_error(410)
            return
        answers = self.server.answers
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving():
    # A proxy that the environment names must not come between.
    with mock.patch.dict(os.environ, no_proxy="*"), LoopbackServer() as server:
        # The short poll makes shutting down quick.
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def file(body, *, etag='"one"', ranges=True, cut_after=None, announce=True, content_type="application/x"):
    """Answers with a file, honouring Range and If-Range, and hangs up after `cut_after` bytes of the body."""

    def answer(handler):
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers["Range"] or "") if ranges else None
        if asked and handler.headers["If-Range"] not in (None, etag):
            asked = None
        start = int(asked[1]) if asked else 0
        if start >= len(body) > 0:
            handler.send_error(416)
            return
        handler.send_response(206 if asked else 200)
        handler.send_header("Content-Type", content_type)
        if announce:
            handler.send_header("Content-Length", str(len(body) - start))
        if etag:
            handler.send_header("ETag", etag)
        if asked:
            handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        handler.end_headers()
        handler.wfile.write(body[start:] if cut_after is None else body[start : start + cut_after])

    return answer


def status(code):
    """Answers with an error status."""
    return lambda handler: handler.send_error(code)


def hang_up(handler):
    """Closes the connection without an answer."""
    handler.close_connection = True

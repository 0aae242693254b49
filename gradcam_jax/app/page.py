"""The web page, served until it is interrupted."""

import dataclasses
import threading
import webbrowser
from collections.abc import Callable

from gradcam_jax.app.options import Options, load_model
from gradcam_jax.errors import InputError
from gradcam_jax.page import Limits, make_server
from gradcam_jax.page.examples import example_names, example_photo
from gradcam_jax.page.server import PageServer

_SAID_ALOUD = ("0.0.0.0", "::")


@dataclasses.dataclass(frozen=True)
class PageOptions:
    """Where the page listens, and what it takes.

    Attributes:
        host: The address to listen at.
        port: The port; 0: any that is free.
        megabytes: Of a photo's file, at most.
        megapixels: Of a photo, at most.
        open_browser: Whether a browser is opened.
        warm_up: Whether what a first visitor needs is compiled at the start.
        own: A model of one's own that is offered first, by the options of ``explain.py``; None: the zoo's alone.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    megabytes: float = 20.0
    megapixels: float = 30.0
    open_browser: bool = False
    warm_up: bool = True
    own: Options | None = None


def serve_page(options: PageOptions, say: Callable[[str], None]) -> None:
    """Serves the page until it is interrupted.

    Raises:
        InputError: If it cannot listen there, or a limit takes nothing.
    """
    if options.megabytes <= 0 or options.megapixels <= 0:
        raise InputError(
            "Expected --megabytes and --megapixels of more than 0, got "
            f"{options.megabytes:g} and {options.megapixels:g} instead."
        )
    limits = Limits(photo_bytes=round(options.megabytes * 1e6), photo_pixels=round(options.megapixels * 1e6))
    own = [load_model(options.own)] if options.own is not None else []
    for note in (note for loaded in own for note in loaded.notes):
        say(note)
    server = make_server(options.host, options.port, limits, own)
    host = f"[{options.host}]" if ":" in options.host else options.host
    address = f"http://{host}:{server.server_port}/"
    say(f"Open {address} in a browser; Ctrl-C ends it.")
    if options.host in _SAID_ALOUD:
        say("Everyone who can reach this machine can use it.")
    if options.warm_up and example_names():
        threading.Thread(target=_warm_up, args=(server, say), name="warm up", daemon=True).start()
    if options.open_browser:
        webbrowser.open(address)
    with server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("")


def _warm_up(server: PageServer, say: Callable[[str], None]) -> None:
    server.answers.explainer.warm_up(example_photo(example_names()[0]))
    say("The models are compiled: photos are explained at once.")

"""The web page: drop a photo, ask, and see at once why a model said what it said.

A server of the standard library and a page without any library, so that it works offline, needs no package besides
the program's own, and sends nothing anywhere.
"""

from gradcam_jax.page.server import Limits as Limits
from gradcam_jax.page.server import make_server as make_server

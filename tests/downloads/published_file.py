"""The file that the download tests publish on the loopback server, and how they fetch it."""

import functools
import hashlib
import random
from pathlib import Path

from gradcam_jax.downloads.download import download
from gradcam_jax.downloads.sources import Digest, Source

BODY = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
SHA256 = Digest("sha256", hashlib.sha256(BODY).hexdigest())


def source(*addresses, size=300_000, digest=SHA256):
    return Source("weights.bin", addresses, "none", size=size, digest=digest)


class Sleeps(list):
    """Takes the place of time.sleep: notes how long, and goes on at once."""

    def __call__(self, seconds):
        self.append(seconds)


fetch = functools.partial(download, timeout=5.0, sleep=Sleeps())


def left_in(folder):
    return sorted(path.name for path in Path(folder).iterdir() if not path.name.endswith(".lock"))

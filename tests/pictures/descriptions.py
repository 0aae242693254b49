"""One small photo, and what each task says of it."""

import numpy as np

from gradcam_jax.pictures.photo import View
from gradcam_jax.tasks.rows import Description, Row

SIZE = (32, 32)
BOX = (10.0, 0.0, 58.0, 40.0)
PHOTO = np.random.default_rng(0).integers(0, 255, (40, 70, 3), np.uint8)
VIEW = View(PHOTO, BOX, SIZE)


def row(name, file_name, *, seed, guided=True, positive=True, tokens=()):
    """A row of random maps; one that is not positive speaks for nothing."""
    random = np.random.default_rng(seed)
    cam = random.standard_normal((4, 4)).astype(np.float32)
    gradients = random.standard_normal((2, *SIZE, 3)).astype(np.float32)
    return Row(
        name=name,
        file_name=file_name,
        title=f"{name}: score 1.00",
        score=-1.0,
        cam=cam if positive else -abs(cam),
        guided_backprop=gradients[0] if guided else None,
        guided_grad_cam=gradients[1] if guided else None,
        tokens=tokens,
    )


def classification(*, guided=True):
    rows = [
        row("boxer", "243", seed=1, guided=guided),
        row("tiger cat", "283", seed=2, guided=guided, positive=False),
    ]
    return Description("Why boxer and why tiger cat?", "boxer", rows)


def vqa(*, guided=True):
    tokens = (("what", 0.5), ("animal", 2.0), ("?", -0.1))
    rows = [
        row("dog", "dog", seed=3, guided=guided, tokens=tokens),
        row("24/7", "24/7", seed=4, guided=guided, positive=False, tokens=tokens),
    ]
    return Description("What animal?", "dog", rows)


def captioning(*, guided=True):
    text = "a dog and a cat on couch"
    words = [
        row(word, word, seed=10 + index, guided=False, positive=index != 0)
        for index, word in enumerate(text.split())
    ]
    phrases = [row("a dog", "a dog", seed=20, guided=False), row("on couch", "on couch", seed=21, guided=False)]
    return Description(f"Why '{text}'?", text, [row(text, text, seed=5, guided=guided)], words, phrases)


TASKS = {"classify": classification, "vqa": vqa, "caption": captioning}

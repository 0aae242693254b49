"""A small folder of captioned photos in three splits: red ones are said to be warm, blue ones cold."""

from pathlib import Path

import numpy as np
import PIL.Image

from gradcam_jax.experiments.data.splits import split_of


def make_captioned_photos(folder: Path, *, train: int, validation: int, test: int = 1, captions: int = 5) -> Path:
    wanted = {"train": train, "validation": validation, "test": test}
    part = folder / "made"
    (part / "images").mkdir(parents=True)
    lines, number = ["file,caption"], 0
    while any(wanted.values()):
        name, number = f"{number}.png", number + 1
        split = split_of(f"made/{name}")
        if not wanted[split]:
            continue
        wanted[split] -= 1
        warm = number % 2 == 0
        pixels = np.random.default_rng(number).integers(0, 60, (16, 20, 3), dtype=np.uint8)
        pixels[..., 0 if warm else 2] += 150
        PIL.Image.fromarray(pixels).save(part / "images" / name)
        lines += [f"{name},a {'warm' if warm else 'cold'} photo number {text}" for text in range(captions)]
    (part / "captions.csv").write_text("\n".join(lines) + "\n")
    return folder

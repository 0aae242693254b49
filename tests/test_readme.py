"""The Python of README and docs runs as it stands, and the files that they name are there."""

import re
from pathlib import Path

import jax
import numpy as np
import PIL.Image
import pytest

from gradcam_jax.images import sample_photo
from tests.pipeline.small_task import run_small, write_photos

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MANY_IMAGES = (ROOT / "docs" / "many_images.md").read_text(encoding="utf-8")


def blocks(text):
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def run_block(code):
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    return names


def test_the_first_lines_run():
    assert run_block(blocks(README)[0])["maps"].shape == (2, 2, 7, 7)


def test_three_statements_from_a_photo_to_an_overlay(tmp_path, monkeypatch):
    photo = sample_photo()
    PIL.Image.fromarray(photo).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    code = blocks(README)[1]
    run_block(code)
    statements = [line for line in code.splitlines() if line and not line.startswith("import")]
    assert len(statements) == 3
    with PIL.Image.open("boxer.png") as overlay:
        assert overlay.size == (photo.shape[1], photo.shape[0])
        assert (np.asarray(overlay) != photo).any()


@pytest.mark.parametrize("code", [blocks(README)[2], blocks(MANY_IMAGES)[0]], ids=["README", "many_images"])
def test_a_run_is_read_back(code, tmp_path, monkeypatch):
    write_photos(tmp_path / "photos" / "dogs", 1)
    (tmp_path / "photos" / "dogs" / "0000.png").rename(tmp_path / "photos" / "dogs" / "boxer.jpg")
    run_small(tmp_path / "photos", tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    assert run_block(code)["record"].arrays["cam"].shape == (1, 16, 16)


PAGES = [path for path in sorted((ROOT / "docs").rglob("*.md")) if blocks(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    PIL.Image.fromarray(sample_photo()).save(tmp_path / "cat_dog.jpg")
    write_photos(tmp_path / "photos" / "dogs", 1)
    (tmp_path / "photos" / "dogs" / "0000.png").rename(tmp_path / "photos" / "dogs" / "boxer.jpg")
    run_small(tmp_path / "photos", tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    names = {}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # as users have it
        for code in blocks(page.read_text(encoding="utf-8")):
            exec(compile(code, page.name, "exec"), names)


def test_every_block_is_run():
    assert len(blocks(README)) == 3


@pytest.mark.parametrize("path", sorted(set(re.findall(r"(?:scripts|docs)/[\w.]+\.\w+", README + MANY_IMAGES))))
def test_the_files_named_exist(path):
    assert (ROOT / path).is_file()

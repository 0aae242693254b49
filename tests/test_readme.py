"""The README's Python runs as it stands, and the files it names are there."""

import re
from pathlib import Path

import pytest

from tests.pipeline.small_job import run_small, write_photos

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run_block(code):
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    return names


def test_the_ten_lines_run():
    assert run_block(BLOCKS[0])["maps"].shape == (2, 2, 7, 7)


def test_a_run_is_read_back(tmp_path, monkeypatch):
    write_photos(tmp_path / "photos" / "dogs", 1)
    (tmp_path / "photos" / "dogs" / "0000.png").rename(tmp_path / "photos" / "dogs" / "boxer.jpg")
    run_small(tmp_path / "photos", tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    assert run_block(BLOCKS[1])["record"].arrays["cam"].shape == (1, 16, 16)
    assert len(BLOCKS) == 2


@pytest.mark.parametrize("path", sorted(set(re.findall(r"(?:scripts|docs)/[\w.]+\.\w+", README))))
def test_the_files_named_exist(path):
    assert (ROOT / path).is_file()

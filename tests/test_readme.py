"""The README's Python runs as it stands, and the files it names are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_ten_lines_run():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["maps"].shape == (2, 2, 7, 7)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"(?:scripts|docs)/[\w.]+\.\w+", README))))
def test_the_files_named_exist(path):
    assert (ROOT / path).is_file()

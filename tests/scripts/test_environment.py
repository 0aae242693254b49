"""The command where things are missing: letters, a reader, a home, assertions."""

import io
import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from gradcam_jax.app.start import say, speak_any_language, use_compilation_cache
from tests.app.small_models import write_photo

ROOT = Path(__file__).resolve().parents[2]
OPTIMISED = """
import sys, pathlib, pytest
from gradcam_jax.app.many_photos import explain_many
from gradcam_jax.app.one_photo import explain_one
from gradcam_jax.app.options import Options
from tests.app.small_models import TASKS, add_small_models, write_photo
assert False, "assertions are on"
folder = pathlib.Path(sys.argv[1])
photo = str(write_photo(folder / "photo.png"))
with pytest.MonkeyPatch.context() as patch:
    add_small_models(folder, patch)
    for task in TASKS:
        options = {"task": task, "model": f"small_{task}", "out_path": str(folder / task)}
        print(len(explain_one(Options(**options, input_image_path=photo))))
        options["out_path"] += "_run"
        print(explain_many(Options(**options, images=photo, workers=1)))
"""


def environment(**changed):
    kept = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    return kept | {"PYTHONPATH": str(ROOT), **changed}


def test_every_task_works_without_assertions(tmp_path):
    result = subprocess.run(
        [sys.executable, "-O", "-c", OPTIMISED, str(tmp_path)], cwd=ROOT, env=environment(HOME=str(tmp_path)),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    numbers = [int(line) for line in result.stdout.split()]
    assert numbers[1::2] == [0, 0, 0]
    assert all(number >= 5 for number in numbers[::2])


def test_names_beyond_ascii_a_reader_that_leaves_and_a_tilde(tmp_path):
    write_photo(tmp_path / "кот.png")
    command = [sys.executable, str(ROOT / "scripts" / "explain.py"), "--methods", "grad_cam"]
    process = subprocess.Popen(
        [*command, "--input_image_path", str(tmp_path / "кот.png"), "--out_path=~/out"],
        env=environment(HOME=str(tmp_path), PYTHONIOENCODING="ascii"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    first = process.stdout.readline()
    process.stdout.close()  # as head -1 does
    assert (process.wait(), process.stderr.read()) == (0, "")
    process.stderr.close()
    assert first.startswith(str(tmp_path / r"\u043a\u043e\u0442.png"))
    assert json.loads((tmp_path / "out" / "explanation.json").read_text(encoding="utf-8"))["task"]
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize(
    ("encoding", "shown"), [("cp1252", b"\\u043a caf\xe9\n"), ("ascii", b"\\u043a caf\\xe9\n")]
)
def test_letters_that_a_terminal_has_are_shown_and_others_by_their_numbers(monkeypatch, encoding, shown):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding, newline="\n"))
    speak_any_language()
    say("\u043a caf\xe9")
    assert written.getvalue() == shown


def test_a_user_without_a_home_keeps_no_programs(monkeypatch):
    def nobody(_):
        raise KeyError("no such user")

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert use_compilation_cache() is None
    with pytest.raises(RuntimeError):
        Path.home()  # there is none

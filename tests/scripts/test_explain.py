"""The command as a user types it: help that reads well, errors without a traceback, exit codes."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gradcam_jax.app import main

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = (str(ROOT / "scripts" / "explain.py"),)
# What an installed console script does.
INSTALLED = ("-c", "import sys; sys.argv[0] = 'gradcam_jax'; from gradcam_jax.app.main import run; run()")


def explain(*arguments, program=SCRIPT):
    command = [sys.executable, *program, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)


def test_help_starts_with_what_it_does():
    result = explain("--help")
    assert result.returncode == 0
    assert result.stdout.startswith("Explains why a model said what it said about a photo.")
    assert "1-based numbers (243 = boxer)" in " ".join(result.stdout.split())


def test_the_console_command_has_the_scripts_help():
    helps = [explain("--helpfull", program=program).stdout for program in (SCRIPT, INSTALLED)]
    assert helps[0] == helps[1]
    assert "explanation.npz" in helps[0]


def test_the_entry_point_is_the_commands():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, name = project["scripts"]["gradcam_jax"].partition(":")
    assert getattr(importlib.import_module(module), name) is main.run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input_image_path", "no.jpg"], "'no.jpg' does not exist"),
        (["--label", "bokser"], "Nearest: boxer (243)"),
        (["--platform", "abacus"], "'abacus' cannot be used here"),
        (["--task", "vqa", "--label", "boxer"], "--label is for --task classification, not for vqa"),
    ],
)
def test_errors_are_one_line_and_exit_1(arguments, message, tmp_path):
    result = explain(*arguments, "--out_path", str(tmp_path))
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith("explain.py: ")


def test_an_error_carries_the_commands_own_name():
    result = explain("--input_image_path", "no.jpg", program=INSTALLED)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("gradcam_jax: ")


def test_a_bare_word_is_a_photo():
    result = explain("no.jpg")
    assert result.returncode == 1
    assert result.stderr.strip() == "explain.py: Expected a photo, but 'no.jpg' does not exist."


def test_list_layers_needs_no_weights():
    result = explain("--list_layers", "--model", "vgg16")
    assert result.returncode == 0, result.stderr
    assert "relu5_3                     14x14x512" in result.stdout

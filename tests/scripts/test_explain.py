"""The command line as a user types it: help that reads well, errors without a traceback, exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def explain(*arguments):
    command = [sys.executable, str(ROOT / "scripts" / "explain.py"), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)


def test_help_starts_with_what_it_does():
    result = explain("--help")
    assert result.stdout.lstrip().startswith("Explains why a model said what it said about a photo.")
    for flag in (
        "--input_image_path",
        "--label",
        "--layer_name",
        "--[no]list_layers",
        "--save_as_heatmap",
        "--top_k",
    ):
        assert flag in result.stdout
    assert "1-based numbers (243 = boxer)" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input_image_path", "no.jpg"], "'no.jpg' does not exist"),
        (["--label", "bokser"], "Nearest: boxer (243)"),
        (["--platform", "abacus"], "'abacus' cannot be used here"),
    ],
)
def test_errors_are_one_line_and_exit_1(arguments, message, tmp_path):
    result = explain(*arguments, "--out_path", str(tmp_path))
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_word_that_is_no_flag_is_an_error():
    result = explain("cat.jpg")
    assert result.returncode != 0
    assert "Expected flags only, got 'cat.jpg'" in result.stdout + result.stderr


def test_list_layers_needs_no_weights():
    result = explain("--list_layers", "--model", "vgg16")
    assert result.returncode == 0, result.stderr
    assert "relu5_3                     14x14x512" in result.stdout

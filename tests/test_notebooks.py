"""The notebooks run from top to bottom, and show pictures."""

import base64
import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
SHOWN = {"classification": 3, "vqa": 2, "captioning": 2}


def test_there_is_one_for_each_task():
    assert {path.stem for path in NOTEBOOKS} == set(SHOWN)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_its_pictures(path, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="needs nbclient and ipykernel")
    client = pytest.importorskip("nbclient", reason="needs nbclient and ipykernel").NotebookClient
    pytest.importorskip("ipykernel", reason="needs nbclient and ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "a notebook is kept without its outputs"
    client(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    pictures = [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == SHOWN[path.stem]
    for number, picture in enumerate(pictures):
        content = base64.b64decode(picture)
        (tmp_path / f"{path.stem}{number}.png").write_bytes(content)
        pixels = np.asarray(PIL.Image.open(io.BytesIO(content)).convert("RGB"))
        assert pixels.shape[0] > 300
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 1000

"""Explanations are measured by one program for every task: rows, a table with intervals, pictures, resumption."""

import csv
import json

import numpy as np
import PIL.Image
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.evaluators import runner
from gradcam_jax.experiments.evaluators.cases import KNOWN_METHODS
from gradcam_jax.experiments.evaluators.explanations import METRICS
from gradcam_jax.experiments.evaluators.measures import MEASURES
from gradcam_jax.experiments.evaluators.program import Options, run
from gradcam_jax.tasks import METHODS as METHODS_OF_TASKS
from tests.app.small_models import add_small_models
from tests.experiments.data.boxed_data import make_coco, make_ilsvrc, make_voc

METHODS = ["grad_cam", "guided_grad_cam", "counterfactual", "centre", "random", "uniform"]
PLACES = [name for name, measure in MEASURES.items() if measure.of_place]


@pytest.fixture(autouse=True)
def _models(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    add_small_models(tmp_path / "models", monkeypatch)


def measure(tmp_path, task="classification", **fields):
    defaults = {"model": f"small_{task}", "out_path": str(tmp_path / "out"), "methods": METHODS, "steps": 4}
    lines = []
    path = run(Options(**(defaults | {"task": task} | fields)), lines.append)
    return json.loads(path.read_text()), lines


def cells(record):
    return {(cell["method"], cell["measure"]): cell for cell in record["measures"]}


def rows_of(tmp_path):
    return [json.loads(line) for line in (tmp_path / "out" / "rows.jsonl").read_text().splitlines()[1:]]


def test_everything_that_is_measured_of_a_classifier(tmp_path):
    data = make_coco(tmp_path / "coco")
    record, lines = measure(tmp_path, data=str(data), metrics=list(METRICS))
    assert (record["photos"], record["objects"], record["failed"]) == (3, 5, [])  # a person has no class
    found = cells(record)
    measures = {name for name in METRICS if name not in ("localisation", "pointing_rejection")}
    errors = {f"localisation_error_{top}" for top in ("top1", "top5")}
    assert measures | errors <= {name for _, name in found}
    for method in METHODS:
        for name in measures | errors:
            cell = found[method, name]
            assert np.isfinite(cell["mean"]), (method, name)
            if cell["low"] is not None:
                assert cell["low"] <= cell["mean"] <= cell["high"]
    areas = np.mean([row["area"] for row in rows_of(tmp_path) if "values" in row])
    assert found["uniform", "energy"]["mean"] == pytest.approx(areas, abs=1e-5)
    assert found["uniform", "mask_iou"]["mean"] == pytest.approx(areas, abs=1e-5)
    assert found["uniform", "road"]["mean"] == found["uniform", "occlusion"]["mean"] == 0
    assert found["uniform", "average_drop"]["mean"] == found["uniform", "increase"]["mean"] == 0
    assert {found[method, "sanity"]["mean"] for method in ("centre", "random", "uniform")} == {1}
    assert abs(found["grad_cam", "sanity"]["mean"]) < 0.9
    assert record["sanity_objects"] == found["grad_cam", "sanity"]["count"] == 5
    assert list(record["similarity"]["grad_cam"]) == ["fc6", "conv2_1", "conv1_1"]  # the head alone comes first
    assert found["", "classification_error_top1"]["count"] == 3
    table = list(csv.DictReader((tmp_path / "out" / "table.csv").read_text().splitlines()))
    assert len(table) == len(record["measures"])
    assert {row["method"] for row in table} == {*METHODS, ""}
    assert any(line.startswith("grad_cam ") and "[" in line for line in lines)
    assert record["pictures"] == ["curves.png", "cases.png"]
    for name in record["pictures"]:
        with PIL.Image.open(tmp_path / "out" / name) as picture:
            assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 20


@pytest.mark.parametrize(("task", "objects"), [("vqa", 2), ("captioning", 2)])
def test_answers_and_captions_are_measured_by_the_same_program(tmp_path, task, objects):
    data = make_coco(tmp_path / "coco")
    metrics = [*PLACES, "deletion", "average_drop"]
    record, _ = measure(tmp_path, task, data=str(data), metrics=metrics, split="all")
    assert record["objects"] == objects  # both models know dogs alone
    assert {row["target"] for row in rows_of(tmp_path)} == {"dog"}
    assert {cell["measure"] for cell in record["measures"]} == set(metrics)
    for row in rows_of(tmp_path):
        assert 0 < row["probability"] < 1
        assert row["curves"]["deletion"]["grad_cam"][0] == pytest.approx(row["probability"], abs=2e-6)


def test_what_a_model_was_trained_on_is_left_out_unless_it_is_asked_for(tmp_path):
    make_coco(tmp_path / "data" / "coco")
    for task in ("vqa", "captioning"):
        with pytest.raises(InputError, match="no object"):  # of the three photos none is kept for tests
            measure(tmp_path, task, data=str(tmp_path / "data"), metrics=["energy"])


@pytest.mark.parametrize(("make", "objects"), [(make_voc, 3), (make_ilsvrc, 4)])
def test_other_layouts(tmp_path, make, objects):
    data = make(tmp_path / "data")
    metrics = ["pointing", "box", "localisation"]
    record, _ = measure(tmp_path, data=str(data), metrics=metrics, methods=["grad_cam"])
    assert record["objects"] == objects  # a VOC object that is difficult alone, or has no class, is none
    assert cells(record)["grad_cam", "localisation_error_top1"]["count"] == record["photos"]


def test_a_run_that_was_killed_goes_on_and_ends_with_the_same_rows(tmp_path, monkeypatch):
    data = make_coco(tmp_path / "coco")
    options = {
        "data": str(data),
        "metrics": ["energy", "deletion", "localisation"],
        "methods": ["grad_cam", "random"],
    }
    monkeypatch.setattr(runner, "_BATCH", 2)
    first, _ = measure(tmp_path, **options)
    file = tmp_path / "out" / "rows.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:3]) + lines[3][:20])  # two rows, and what was written of the third
    done = []
    read = runner.pixels_of
    monkeypatch.setattr(runner, "pixels_of", lambda photo: done.append(photo.key) or read(photo))
    again, _ = measure(tmp_path, **options)
    drawn = 5  # for the sheet of cases
    assert len(done) == 5 + 3 - 2 + drawn
    assert {row["id"]: row for row in rows_of(tmp_path)} == {row["id"]: row for row in map(json.loads, lines[1:])}
    assert again["measures"] == first["measures"]
    with pytest.raises(InputError, match="measured with another steps"):
        measure(tmp_path, **options | {"steps": 5})


def test_a_broken_photo_is_a_row_that_says_so(tmp_path):
    data = make_coco(tmp_path / "coco")
    (data / "images" / "000001.png").write_bytes(b"no photo")
    record, _ = measure(tmp_path, data=str(data), metrics=["energy"])
    assert record["objects"] == 3
    assert [row["id"] for row in record["failed"]] == ["coco/0#dog", "coco/0#couch"]
    assert "not an image" in record["failed"][0]["error"]


def test_so_many_photos_spread_over_the_data(tmp_path):
    data = make_coco(tmp_path / "coco")
    record, _ = measure(tmp_path, data=str(data), metrics=["energy"], max_photos=1)
    assert record["photos"] == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metrics": ["enrgy"]}, "no metric 'enrgy'. Nearest: energy"),
        ({"metrics": ["energy"], "methods": ["gradcam"]}, "no method 'gradcam'. Nearest: grad_cam"),
        ({"metrics": ["energy"], "steps": 0}, "--steps"),
        ({"metrics": ["energy"], "max_photos": -1}, "--max_photos"),
        ({"metrics": [], "methods": ["grad_cam"]}, "--methods and --steps need --metrics"),
        ({"metrics": ["localisation"], "task": "captioning", "split": "all"}, "are of classes"),
        ({"metrics": ["energy"], "images": ["a", "b"]}, "one folder of photos, got a, b"),
        ({"metrics": ["energy"], "task": "vqa", "dataset": "easy_vqa", "model": ""}, "--metrics needs boxes"),
    ],
)
def test_what_cannot_be_measured_is_refused(tmp_path, fields, message):
    data = make_coco(tmp_path / "coco")
    with pytest.raises(InputError, match=message):
        measure(tmp_path, **{"task": "classification", "data": str(data)} | fields)


def test_every_method_of_the_tasks_is_measured_by_its_name(tmp_path):
    data = make_voc(tmp_path / "data")
    record, _ = measure(
        tmp_path, data=str(data), metrics=["energy", "box"], methods=list(KNOWN_METHODS), max_photos=1
    )
    found = cells(record)
    assert {method for method, _ in found} == {*METHODS_OF_TASKS, "counterfactual", "centre", "random", "uniform"}
    assert all(0 <= found[method, "energy"]["mean"] <= 1 for method in KNOWN_METHODS)
    assert len({found[method, "energy"]["mean"] for method in KNOWN_METHODS}) > len(KNOWN_METHODS) // 2

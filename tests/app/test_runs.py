"""Runs as a team meets them: drawn later, stopped, resumed, failed in part, asked line by line, reported on."""

import json
import os
import re
import signal
import time

import pytest

from gradcam_jax.app import many_photos
from gradcam_jax.app.many_photos import OK, SOME_FAILED, explain_many
from gradcam_jax.app.options import Options
from gradcam_jax.pipeline import open_run
from tests.app.small_models import TASKS, add_small_models
from tests.pipeline.small_task import write_photos


@pytest.fixture(autouse=True)
def small_models(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    add_small_models(folder, monkeypatch)


def explain(tmp_path, source=None, *, task="classification", **options):
    lines = []
    source = source or write_photos(tmp_path / "photos", 3)
    settings = {"model": f"small_{task}", "out_path": str(tmp_path / "run"), "batch_size": 4, "workers": 1}
    code = explain_many(Options(task=task, images=str(source), **settings | options), lines.append)
    return code, lines


def write_list(tmp_path, *rows, name="list.jsonl"):
    write_photos(tmp_path / "photos", 2)
    path = tmp_path / name
    rows = [{"path": f"photos/000{number % 2}.png", **row} for number, row in enumerate(rows)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def drawn(tmp_path):
    folder = tmp_path / "run"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


@pytest.mark.parametrize("task", TASKS)
def test_a_finished_run_is_drawn_later_as_it_would_have_been(tmp_path, task):
    source = write_list(
        tmp_path, {"question": "What animal?"} if task == "vqa" else {}, {"question": "Is there a dog?"}
    )
    options = {"task": task, "methods": "guided_backprop", "guided_dtype": "float32"}
    explain(tmp_path, source, **options, save="all")
    expected = drawn(tmp_path)
    assert len(expected) == 4
    for name in list(expected)[1:]:
        (tmp_path / "run" / name).unlink()
    code, lines = explain(tmp_path, source, **options, save="all")
    assert code == OK
    assert "2 photos that were explained before were drawn" in lines
    assert drawn(tmp_path) == expected
    code, lines = explain(tmp_path, source, **options, save="all")
    assert "0 photos that were explained before were drawn" in lines  # they are there


def test_a_photo_that_is_gone_is_not_drawn_and_that_is_said(tmp_path):
    photos = write_photos(tmp_path / "photos", 3)
    explain(tmp_path, photos)
    (photos / "0001.png").write_bytes(b"no picture")
    code, lines = explain(tmp_path, photos, save="panels")
    assert code == OK
    assert "2 photos that were explained before were drawn" in lines
    assert any(re.fullmatch(r"not drawn: '.*0001\.png' is not an image .*", line) for line in lines)


def test_failures_are_named_at_the_end_and_counted_once(tmp_path):
    photos = write_photos(tmp_path / "photos", 4, broken={1, 2})
    for before in (False, True):
        code, lines = explain(tmp_path, photos)
        assert code == SOME_FAILED
        counts = "0 explained, 0 failed, 4 done before (2 of them failed);" if before else "2 explained, 2 failed,"
        assert lines[1].startswith(counts)
        failed = [line for line in lines if line.startswith("failed: ")]
        assert sorted(line.split(":")[1] for line in failed) == [" 0001.png", " 0002.png"]
        assert all("cannot be decoded" in line or "not an image" in line for line in failed)
    explain(tmp_path, photos, retry_failed=True)  # fail again: two lines each, one failure each
    write_photos(photos, 3, broken={2})
    code, lines = explain(tmp_path, photos, retry_failed=True)
    assert (code, lines[1].split(";")[0]) == (SOME_FAILED, "1 explained, 1 failed, 2 done before")
    code, lines = explain(tmp_path, photos)
    assert (code, lines[1].split(";")[0]) == (
        SOME_FAILED,
        "0 explained, 0 failed, 4 done before (1 of them failed)",
    )
    write_photos(photos, 3)
    assert explain(tmp_path, photos, retry_failed=True)[0] == OK
    code, lines = explain(tmp_path, photos)
    assert (code, lines[1].split(";")[0]) == (OK, "0 explained, 0 failed, 4 done before")


def test_many_failures_are_named_in_part(tmp_path):
    photos = write_photos(tmp_path / "photos", 14, broken=set(range(13)))
    _, lines = explain(tmp_path, photos)
    assert len([line for line in lines if line.startswith("failed: ")]) == 10
    assert any(line.startswith("and 3 more, the lines of status failed in ") for line in lines)


def test_an_interrupt_says_at_once_what_happens(tmp_path, monkeypatch, capfd):
    show, said = many_photos._show, []

    def interrupt(bar, progress):
        show(bar, progress)
        if not said:
            os.kill(os.getpid(), signal.SIGINT)
            # The main thread says it between two steps of its own; the run cannot go on while this one waits.
            until, text = time.monotonic() + 30, ""
            while "Ctrl-C" not in text and time.monotonic() < until:
                time.sleep(0.02)
                text += capfd.readouterr().err
            said.append(text)

    monkeypatch.setattr(many_photos, "_show", interrupt)
    code, _ = explain(tmp_path, write_photos(tmp_path / "photos", 60))
    assert code == many_photos.INTERRUPTED
    assert "finishing the photos that are begun; the same again (Ctrl-C) stops at once" in said[0]


def test_a_line_may_name_as_many_targets_as_it_likes(tmp_path):
    source = write_list(tmp_path, {"label": "boxer, tabby, -1"}, {"label": "espresso"}, {})
    code, _ = explain(tmp_path, source)
    assert code == OK
    records = list(open_run(tmp_path / "run").values())
    assert [len(record.fields["targets"]) for record in records] == [3, 1, 1]
    assert [record.arrays["targets"].tolist()[1:] for record in records[1:]] == [[-2, -2], [-2, -2]]
    answers = write_list(tmp_path, {"question": "What?", "answer": "dog, yes"}, name="answers.jsonl")
    code, _ = explain(tmp_path, answers, task="vqa", out_path=str(tmp_path / "answers"))
    (record,) = open_run(tmp_path / "answers").values()
    assert [target["name"] for target in record.fields["targets"]] == ["dog", "yes"]


@pytest.mark.parametrize("row", [{"question": ""}, {}, {"answer": "dog"}])
def test_a_line_without_a_question_is_an_error_line(tmp_path, row):
    source = write_list(tmp_path, row, {"Question": "What animal?"})
    code, _ = explain(tmp_path, source, task="vqa")
    assert code == SOME_FAILED
    asked, silent = sorted(open_run(tmp_path / "run").values(), key=lambda record: record.fields["status"] != "ok")
    assert "Expected a question" in silent.fields["error"]
    assert asked.fields["request"]["question"] == "What animal?"
    # A question for all is asked where a line brings none; a folder's photos are asked the usual one.
    code, _ = explain(tmp_path, source, task="vqa", question="Is there a dog?", out_path=str(tmp_path / "all"))
    assert code == OK
    code, _ = explain(tmp_path, tmp_path / "photos", task="vqa", out_path=str(tmp_path / "folder"))
    assert code == OK
    questions = [record.fields["request"]["question"] for record in open_run(tmp_path / "folder").values()]
    assert questions == ["What animal?"] * 2


def test_what_was_passed_over_is_counted(tmp_path):
    photos = write_photos(tmp_path / "photos", 2)
    for name in ("notes.txt", "film.mp4", "other.mp4"):
        (photos / name).write_text("")
    _, lines = explain(tmp_path, photos)
    assert "passed over 3 files that are no photos (.mp4: 2, .txt: 1)" in lines


def test_a_run_inside_the_folder_of_photos_never_explains_its_own_pictures(tmp_path):
    photos = write_photos(tmp_path / "photos", 3)
    for folder in (photos / "run", photos):
        for _ in range(2):
            code, _ = explain(tmp_path, photos, out_path=str(folder), save="all", report=True)
            assert code == OK
            assert sorted(open_run(folder)) == ["0000.png", "0001.png", "0002.png"]


@pytest.mark.parametrize("task", TASKS)
def test_a_report_is_made_at_the_end(tmp_path, task):
    source = write_list(tmp_path, {"question": "What animal?"}, {"question": "Is there a dog?"})
    code, lines = explain(tmp_path, source, task=task, report=True)
    page = tmp_path / "run" / "report" / "index.html"
    assert code == OK
    assert page.is_file()
    assert f"report of 2 photos, 0 failed: open {page}" in lines
    pictures = {re.sub(r"^[0-9a-f]{16}", "", path.name) for path in (page.parent / "pictures").rglob("*.jpg")}
    assert pictures == {".jpg", "-cam-0.jpg"} | ({"-words.jpg"} if task == "captioning" else set())
    (times,) = [json.loads(line) for line in (tmp_path / "run" / "times.jsonl").read_text().splitlines()]
    assert (times["explained"], times["failed"], times["interrupted"]) == (2, 0, False)

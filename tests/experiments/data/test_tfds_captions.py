"""A small dataset, written by TFDS itself in the layout of coco_captions/2014, is read without TensorFlow."""

import io
import sys
import warnings

import numpy as np
import PIL.Image
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.captioned_views import people_views, read_captioned_photos, template_views
from gradcam_jax.experiments.data.captions import caption_vocabulary
from gradcam_jax.experiments.data.photos import read_photos
from gradcam_jax.experiments.data.views import render
from gradcam_jax.pipeline.items import read_items

tfds = pytest.importorskip(
    "tensorflow_datasets", reason="reading TensorFlow datasets needs tensorflow-datasets (extra `train`)"
)
SOURCE = "tfds:coco_captions/2014"
SIZES = {"train": 4, "restval": 2, "val": 2, "test": 1}


def jpeg(red: int) -> io.BytesIO:
    content = io.BytesIO()
    PIL.Image.new("RGB", (30, 20), (red, 0, 0)).save(content, "JPEG", quality=100)
    content.seek(0)
    return content


class CocoCaptions(tfds.core.GeneratorBasedBuilder):
    name = "coco_captions"
    VERSION = tfds.core.Version("1.1.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="2014")]  # noqa: RUF012 - TFDS wants a list
    url_infos = None  # nothing to download, so that no checksums are looked for

    def _info(self):
        features = {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "image/id": np.int64,
            "captions": tfds.features.Sequence({"id": np.int64, "text": tfds.features.Text()}),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in SIZES}

    def _generate_examples(self, split):
        for number in range(SIZES[split]):
            name = 10 * list(SIZES).index(split) + number
            captions = [{"id": 5 * name + text, "text": f"A {split} dog {text}."} for text in range(5)]
            yield name, {"image": jpeg(4 * name), "image/id": name, "captions": captions}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TFDS's own, while it writes
        CocoCaptions(data_dir=folder, config="2014", file_format="array_record").download_and_prepare()
    return folder


@pytest.fixture
def here(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    return prepared


@pytest.mark.usefixtures("here")
def test_the_splits_are_karpathys_and_captions_stay_with_their_photo():
    splits = read_captioned_photos(SOURCE)
    assert {split: len(photos) for split, photos in splits.items()} == {"train": 6, "validation": 2, "test": 1}
    (photo,) = splits["test"]
    assert photo.key == "coco/30"
    assert photo.captions == tuple(f"A test dog {text}." for text in range(5))
    keys = [photo.key for photos in splits.values() for photo in photos]
    assert len(keys) == len(set(keys))
    assert "tensorflow" not in sys.modules


@pytest.mark.usefixtures("here")
def test_photos_are_decoded_when_they_are_looked_at():
    views = people_views(read_captioned_photos(SOURCE)["validation"])
    for view in views:
        number = int(view.view.parts[0].photo.key.removeprefix("coco/"))
        image = render(view.view, 8)
        assert image.shape == (8, 8, 3)
        np.testing.assert_allclose(image[..., 0], 4 * number / 255, atol=2 / 255)  # JPEG
    assert len({view.view.name for view in views}) == 2


@pytest.mark.usefixtures("here")
def test_the_vocabulary_is_that_of_the_training_photos():
    texts = [text for photo in read_captioned_photos(SOURCE)["train"] for text in photo.captions]
    words = caption_vocabulary(texts).entries
    assert {"a", "dog", "train", "restval"} <= set(words)
    assert "test" not in words
    assert template_views(read_photos(SOURCE, required=False), np.random.default_rng(0), collages=1, pets=1) == []


def test_what_is_not_prepared_comes_with_the_command_and_is_not_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(InputError, match=r"tfds build coco_captions/2014 --file_format=array_record"):
        read_captioned_photos(SOURCE)
    assert not list(tmp_path.iterdir())


def test_files_that_only_tensorflow_reads_are_an_error_that_says_so(here, tmp_path, monkeypatch):
    version = tmp_path / "coco_captions" / "2014" / "1.1.0"
    version.mkdir(parents=True)
    for path in (here / "coco_captions" / "2014" / "1.1.0").glob("*.json"):
        text = path.read_text().replace('"array_record"', '"tfrecord"').replace("array_record", "tfrecord")
        (version / path.name).write_text(text)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(InputError, match="written as tfrecord"):
        read_captioned_photos(SOURCE)


def test_the_photos_of_a_split_are_a_source_of_images_too(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    items = list(read_items(f"{SOURCE}/restval"))
    assert [item.id for item in items] == ["restval/00000000", "restval/00000001"]
    assert items[1].path == "tfds:coco_captions/2014/restval#1"
    assert all(item.pixels().shape == (20, 30, 3) for item in items)
    assert len(list(read_items(f"{SOURCE}/train[:3]"))) == 3
    with pytest.raises(InputError, match=r"has no split 'restvel'\. Nearest: restval"):
        list(read_items(f"{SOURCE}/restvel"))

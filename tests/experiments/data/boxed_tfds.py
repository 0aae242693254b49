"""A small dataset, written by TFDS itself in the layout of its ``voc/2007``; import it where TFDS is installed."""

import io
import warnings

import numpy as np
import PIL.Image
import tensorflow_datasets as tfds

from tests.experiments.data.boxed_data import HEIGHT, PHOTOS, WIDTH, pixels_of

NAMES = ["aeroplane", "cat", "dog", "person", "sofa", "tvmonitor"]


class Voc(tfds.core.GeneratorBasedBuilder):
    name = "voc"
    VERSION = tfds.core.Version("4.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="2007")]  # noqa: RUF012 - TFDS wants a list
    url_infos = None  # nothing to download, so that no checksums are looked for

    def _info(self):
        objects = {
            "label": tfds.features.ClassLabel(names=NAMES),
            "bbox": tfds.features.BBoxFeature(),
            "is_difficult": np.bool_,
        }
        features = {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "image/filename": tfds.features.Text(),
            "objects": tfds.features.Sequence(objects),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        names = list(PHOTOS)
        return {"test": self._generate_examples(names[:2]), "train": self._generate_examples(names[2:])}

    def _generate_examples(self, names):
        for name in names:
            jpeg = io.BytesIO()
            PIL.Image.fromarray(pixels_of(name)).save(jpeg, "JPEG", quality=95)
            jpeg.seek(0)
            objects = [
                {
                    "label": label,
                    "bbox": tfds.features.BBox(
                        (top - 1) / HEIGHT, (left - 1) / WIDTH, bottom / HEIGHT, right / WIDTH
                    ),
                    "is_difficult": difficult,
                }
                for label, (left, top, right, bottom), difficult in PHOTOS[name]
            ]
            yield name, {"image": jpeg, "image/filename": f"{name}.jpg", "objects": objects}


def prepare_voc(folder):
    """Writes the dataset into a folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TFDS's own, while it writes
        Voc(data_dir=folder, config="2007", file_format="array_record").download_and_prepare()

"""What the flags about a model of one's own do."""

import flax.traverse_util
import numpy as np
import safetensors.numpy

from gradcam_jax.app.main import Options
from gradcam_jax.zoo import load
from tests.app.flag_lab import MANY, ONE, PHOTO, case
from tests.app.small_models import write_photo
from tests.comparison import assert_close

CLASSIFICATION = ("classification",)


def network():
    """A model as a user's function returns it: the small network, without weights."""
    return load("small_classification").model


def own(lab, sign=1.0):
    """Writes the small network's weights, its last layer's times a sign, and returns the flags that name both."""
    variables = flax.traverse_util.flatten_dict(load("small_classification").variables, sep="/")
    *_, head = (name for name, leaf in variables.items() if leaf.ndim == 2)
    arrays = {name: np.asarray(leaf) * (sign if name == head else 1) for name, leaf in variables.items()}
    path = lab.folder / f"own_{sign:g}.safetensors"
    safetensors.numpy.save_file(arrays, path)
    names = lab.folder / "own.txt"
    names.write_text("".join(f"thing {number}\n" for number in range(1000)), encoding="utf-8")
    flags = {"model": f"{__name__}:network", "checkpoint": str(path), "labels": str(names)}
    return flags | {"recipe": "efficientnet_lite", "layer_name": "relu2_1", "input_sz": 32}


@case("checkpoint", "weights.safetensors", CLASSIFICATION)
def shows_checkpoint(lab, task):
    plain, turned = lab.both(task, **own(lab)), lab.both(task, **own(lab, -1.0))
    assert_close(turned.scores.min(), turned.scores.max())
    assert plain.names != turned.names
    lab.refuses(task, "There is no checkpoint 'no.msgpack'", **own(lab) | {"checkpoint": "no.msgpack"})
    for source, number in (([], ONE), (["--images", "photos"], MANY)):
        given = lab.command("--checkpoint", "weights.safetensors", *source)
        assert given == (number, Options(checkpoint="weights.safetensors", images="photos" if source else ""))


@case("labels", "names.txt", CLASSIFICATION)
def shows_labels(lab, task):
    said = lab.both(task, **own(lab), label="thing 7, 12")
    assert said.names == ["thing 7", "thing 11"]  # a number counts from 1
    write_photo(lab.folder / PHOTO)
    short = lab.folder / "short.txt"
    short.write_text("one\ntwo\n", encoding="utf-8")
    lab.refuses(task, "2", **own(lab) | {"labels": str(short)})

"""The manifest of published files: every entry obeys the same rules."""

import re
import urllib.parse

import pytest

from gradcam_jax.downloads.sources import SOURCES, model_names, sources_of
from gradcam_jax.errors import InputError

DIGITS = {"sha1": 40, "sha256": 64}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.file_name)
def test_every_source_is_complete(source):
    assert source.models
    assert source.terms
    for address in source.addresses:
        parts = urllib.parse.urlsplit(address)
        assert parts.scheme in ("http", "https")
        assert parts.path.endswith("/" + source.file_name)
    assert source.size is None or source.size > 0
    if source.digest is not None:
        assert re.fullmatch(r"[0-9a-f]+", source.digest.hexadecimal)
        assert 8 <= len(source.digest.hexadecimal) <= DIGITS[source.digest.algorithm]
    assert (source.member is not None) == source.file_name.endswith(".zip")


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.file_name)
def test_a_copy_is_listed_only_where_the_digest_tells_it_from_another_file(source):
    assert len(source.addresses) == 1 or source.digest is not None


@pytest.mark.parametrize("name", ["vgg16_torchvision", "vgg19_torchvision", "alexnet_torchvision"])
def test_torchvision_digests_begin_as_the_file_name_says(name):
    (source,) = sources_of(name)
    published = re.search(r"-([0-9a-f]{8})\.pth$", source.file_name)
    assert source.digest.algorithm == "sha256"
    assert source.digest.hexadecimal.startswith(published[1])


@pytest.mark.parametrize(("name", "layers"), [("vgg16", 138_357_544), ("vgg19", 143_667_240)])
def test_vgg_sizes_fit_their_parameter_counts(name, layers):
    (source,) = sources_of(name)
    assert 0 < source.size - 4 * layers < 20_000  # float32 weights and a few kilobytes of layer settings.


def test_file_names_are_unique():
    assert len({source.file_name for source in SOURCES}) == len(SOURCES)


def test_models_made_of_several_files():
    assert [source.file_name for source in sources_of("vqa_vgg19")] == [
        "VGG_ILSVRC_19_layers.caffemodel",
        "pretrained_lstm_train_val.t7.zip",
        "data_train_val.zip",
    ]
    assert "captioner_vgg16" in model_names()


def test_an_unknown_model_gets_the_nearest_name():
    with pytest.raises(InputError, match=r"'vg16': did you mean 'vgg16'\? expected one of vgg16, vgg19"):
        sources_of("vg16")
    with pytest.raises(InputError, match="'zzz': expected one of vgg16"):
        sources_of("zzz")

"""The project's own checkpoints: what is written is read back, whole or not at all, here and by the library."""

import json
import os

import jax
import numpy as np
import pytest
import safetensors.numpy

from gradcam_jax.conversion.rules import View
from gradcam_jax.errors import CheckpointError, InputError
from gradcam_jax.zoo import (
    Card,
    SourceFile,
    count_parameters,
    read_card,
    read_checkpoint,
    write_checkpoint,
    write_views,
)
from gradcam_jax.zoo.checkpoint import describe_source, unhashed_source

CARD = Card(
    model="vgg16",
    recipe="original",
    licence="CC BY",
    parameters=6,
    sources=(SourceFile("net.caffemodel", 24, "0" * 64),),
    labels=("tench", "goldfish"),
    words=("naïve", "UNK"),
    notes="trained by hand",
)


def variables():
    generator = np.random.default_rng(0)
    return {
        "params": {
            "conv": {"kernel": generator.standard_normal((3, 3, 2, 4)).astype(np.float32)},
            # Views as a conversion gives them: transposed, larger than a band and not a multiple of it.
            "fc": {
                "kernel": generator.standard_normal((131, 300)).astype(np.float32).T,
                "bias": np.zeros(0, "f4"),
            },
            "transposed": {"kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4, 1).transpose(2, 3, 1, 0)},
            "scale": np.float32(3.0),
        },
        "batch_stats": {"norm": {"mean": np.arange(4, dtype=np.float32)}},
    }


def flat(tree):
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "folder" / "net.safetensors"
    write_checkpoint(path, variables(), CARD)
    arrays, card = read_checkpoint(path)
    assert card == read_card(path) == CARD
    expected = flat(variables())
    assert set(arrays) == set(expected)
    for key, array in safetensors.numpy.load_file(path).items():
        np.testing.assert_array_equal(array, expected[key], err_msg=key)
        np.testing.assert_array_equal(arrays[key], expected[key], err_msg=key)


def test_parameters_are_counted_without_the_statistics():
    assert count_parameters(variables()) == 72 + 131 * 300 + 24 + 1


def test_progress_ends_at_the_whole(tmp_path):
    seen = []
    write_checkpoint(tmp_path / "net", variables(), CARD, progress=lambda *numbers: seen.append(numbers))
    done, total = seen[-1]
    assert done == total == sum(leaf.nbytes for leaf in jax.tree.leaves(variables()))
    assert [number for number, _ in seen] == sorted(number for number, _ in seen)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_breaks_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"old")

    def fail(*_):
        raise error

    expected = InputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        write_checkpoint(path, variables(), CARD, progress=fail)
    assert os.listdir(tmp_path) == ["net.safetensors"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("failing", [1, 2])
def test_a_disk_that_fails_at_any_flush_is_reported(tmp_path, monkeypatch, failing):
    path, flushes = tmp_path / "net.safetensors", []
    path.write_bytes(b"old")

    def fsync(descriptor):
        flushes.append(descriptor)
        if len(flushes) == failing:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    large = {"params": {"w": np.zeros(70 << 18, np.float32)}}  # 70 MiB: flushed after 64, and at the end
    with pytest.raises(InputError, match=r"Cannot write .*: Input/output error"):
        write_checkpoint(path, large, CARD)
    assert len(flushes) == failing
    assert os.listdir(tmp_path) == ["net.safetensors"]
    assert path.read_bytes() == b"old"


def test_double_precision_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"float32.*params/w is float64"):
        write_checkpoint(tmp_path / "net", {"params": {"w": np.zeros(2)}}, CARD)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "has no card"),
        ({"format": "pt"}, "has no card"),
        ({"card": "{"}, "its card cannot be read"),
        ({"card": "[]"}, "its card cannot be read"),
        ({"card": json.dumps({"model": "vgg16"})}, "its card cannot be read"),
        ({"card": json.dumps({"sources": [{"name": "x"}]})}, "its card cannot be read"),
        ({"card": json.dumps({"sources": 5})}, "its card cannot be read"),
    ],
)
def test_a_file_without_a_card_is_refused(tmp_path, metadata, message):
    safetensors.numpy.save_file({"w": np.zeros(2, np.float32)}, tmp_path / "net", metadata)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(tmp_path / "net")


def test_a_source_is_hashed(tmp_path):
    (tmp_path / "net").write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert describe_source(tmp_path / "net") == SourceFile("net", 3, digest)
    with pytest.raises(InputError, match="cannot be read"):
        describe_source(tmp_path / "none")
    with pytest.raises(InputError, match="cannot be read"):
        unhashed_source(tmp_path / "none")


def test_sources_may_be_hashed_while_the_arrays_are_written(tmp_path):
    source, target = tmp_path / "naïve.caffemodel", tmp_path / "net.safetensors"
    source.write_bytes(b"abc")
    views, written = {"params/w": View((6,), np.arange(6, dtype=np.float32))}, []

    def hashed():
        assert written[-1] == (24, 24)
        return [describe_source(source)]

    draft = CARD._replace(sources=(unhashed_source(source),))
    write_views(target, views, draft, hashed_sources=hashed, progress=lambda *numbers: written.append(numbers))
    arrays, card = read_checkpoint(target)
    assert card == CARD._replace(sources=(describe_source(source),))
    np.testing.assert_array_equal(arrays["params/w"], np.arange(6))
    assert safetensors.numpy.load_file(target).keys() == {"params/w"}

    source.write_bytes(b"abcd")
    with pytest.raises(InputError, match="caffemodel changed while it was read, from 3 to 4 bytes"):
        write_views(target, views, draft, hashed_sources=hashed, progress=lambda *numbers: written.append(numbers))
    assert read_card(target) == card  # the file of before

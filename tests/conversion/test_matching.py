"""Names that training leaves behind: prefixes, renamed and wrapped last layers, networks in a file twice."""

import flax.traverse_util
import numpy as np
import pytest

from gradcam_jax.conversion.matching import match_names
from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.errors import CheckpointError
from gradcam_jax.zoo import MODELS, Card, example_inputs, write_checkpoint
from gradcam_jax.zoo.checkpoint import read_checkpoint
from gradcam_jax.zoo.originals import arrays_of, head_of, originals_of, read_file

RULES = originals_of(MODELS["alexnet_torchvision"]).rules
HEAD = head_of(RULES)
SOURCES = [rule.source for rule in RULES]
BODY = SOURCES[:-2]
CLASSIFIERS = [name for name, entry in MODELS.items() if entry.task == "classification"]


def arrays(names, prefix=""):
    return {f"{prefix}{name}": np.full(2 if name.endswith("bias") else (2, 3), len(name)) for name in names}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_last_layer_is_the_one_whose_shapes_go_with_the_classes(name):
    entry = MODELS[name]
    few, many = (variable_shapes(entry.build(classes=count), *example_inputs(entry)) for count in (3, 5))
    few, many = (flax.traverse_util.flatten_dict(shapes, sep="/") for shapes in (few, many))
    assert sorted(head_of(originals_of(MODELS[name]).rules)) == sorted(
        k for k in few if few[k].shape != many[k].shape
    )


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "model._orig_mod.module.", "backbone/"])
def test_a_prefix_is_taken_off_and_named(prefix):
    given = arrays(SOURCES, prefix)
    matched = match_names(given, RULES, HEAD)
    assert list(matched.arrays) == SOURCES
    assert all(matched.arrays[name] is given[prefix + name] for name in SOURCES)
    assert matched.notes == (f"all names begin with {prefix!r}, which is taken off",)
    assert not matched.own_head


def test_the_published_names_are_left_alone():
    given = {**arrays(SOURCES), **arrays(SOURCES, "ema.")}
    assert match_names(given, RULES, HEAD) == (given, (), False)


@pytest.mark.parametrize("stem", ["classifier.6.1", "head", "classifier.6.fc", "my_own"])
def test_a_renamed_or_wrapped_last_layer_takes_the_place_of_the_last(stem):
    given = {**arrays(BODY, "net."), **arrays([f"{stem}.weight", f"{stem}.bias"])}
    matched = match_names(given, RULES, HEAD)
    assert list(matched.arrays) == SOURCES
    assert matched.arrays["classifier.6.weight"] is given[f"{stem}.weight"]
    assert matched.own_head
    assert matched.notes == (
        f"{len(BODY)} of {len(SOURCES)} names begin with 'net.', which is taken off",
        f"the last layer is {stem!r}, in the place of 'classifier.6'",
    )


def test_a_last_layer_without_a_bias_has_zeros():
    matched = match_names(arrays([*BODY, "head.weight"]), RULES, HEAD)
    np.testing.assert_array_equal(matched.arrays["classifier.6.bias"], [0, 0])
    assert matched.notes[-1] == "the last layer has no bias; 'classifier.6.bias' is 0"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            [*BODY, "head.0.weight", "head.0.bias", "head.3.weight", "head.3.bias"],
            "one layer in the place of the last, 'classifier.6', got 2: head.0 2x3, head.3 2x3. A network of",
        ),
        (
            [f"{prefix}{name}" for prefix in ("student.", "teacher.") for name in SOURCES],
            "the network 2 times, under 'student.' and 'teacher.': save one of",
        ),
    ],
)
def test_what_cannot_be_told_is_an_error_that_names_the_choices(names, message):
    with pytest.raises(CheckpointError, match=message):
        match_names(arrays(names), RULES, HEAD)


@pytest.mark.parametrize("names", [SOURCES[2:], [*SOURCES, "extra.weight"], [*BODY, "alpha"], ["a.b"]])
def test_what_does_not_fit_is_left_for_the_conversion_to_report(names):
    given = arrays(names)
    assert match_names(given, RULES, HEAD) == (given, (), False)


@pytest.mark.parametrize("prefix", ["", "params/", "state/params/", "model/"])
def test_a_checkpoint_under_our_own_names_is_found_wherever_it_lies(tmp_path, prefix):
    names = [rule.target.removeprefix("params/") for rule in RULES]
    tree = {f"{prefix}{name}": np.full(2, index, np.float32) for index, name in enumerate(names)}
    tree |= {f"opt_state/0/mu/{name}": np.zeros(2, np.float32) for name in names} | {
        "step": np.zeros(1, np.float32)
    }
    write_checkpoint(tmp_path / "mine", tree, Card("any", "any", "any", 0))
    found = arrays_of(MODELS["alexnet_torchvision"], [read_file(tmp_path / "mine")])
    assert sorted(found.arrays) == sorted(rule.target for rule in RULES)
    assert all(found.arrays[f"params/{name}"][0] == index for index, name in enumerate(names))
    assert found.notes[-1] == "of the checkpoint not needed: opt_state, step"
    assert read_checkpoint(tmp_path / "mine")[0]["step"].size == 1

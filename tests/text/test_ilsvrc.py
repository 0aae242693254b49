"""How a user may name one of the 1000 classes, and what happens when the name is off."""

import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.text.ilsvrc import find_class, imagenet_classes


def test_there_are_1000_in_order():
    classes = imagenet_classes()
    assert [c.index for c in classes] == list(range(1000))
    assert len({c.wnid for c in classes}) == 1000
    assert [c.wnid for c in classes] == sorted(c.wnid for c in classes)


@pytest.mark.parametrize(
    ("label", "index", "name"),
    [("233", 232, "Border collie"), ("243", 242, "boxer"), ("282", 281, "tabby"), ("283", 282, "tiger cat")],
)
def test_the_originals_1_based_labels(label, index, name):
    match = find_class(label)
    assert (match.index, match.name, match.label) == (index, name, int(label))


@pytest.mark.parametrize("text", ["tiger cat", "Tiger Cat", "tiger_cat", "tiger-cat", " n02123159 ", "283"])
def test_one_class_by_many_names(text):
    assert find_class(text).index == 282


@pytest.mark.parametrize("name", ["crane", "maillot"])
def test_a_name_of_two_classes_lists_both(name):
    with pytest.raises(InputError, match=r"two classes.*\d+ \(n\d+\) or \d+ \(n\d+\)"):
        find_class(name)


@pytest.mark.parametrize("label", ["0", "1001", "-2"])
def test_labels_out_of_range(label):
    with pytest.raises(InputError, match=f"from 1 to 1000.*got {label}"):
        find_class(label)


def test_an_unknown_name_lists_the_nearest():
    with pytest.raises(InputError, match=r"no class 'bokser'.*boxer \(243\)"):
        find_class("bokser")
    with pytest.raises(InputError, match="no class 'qqqqqqq'"):
        find_class("qqqqqqq")

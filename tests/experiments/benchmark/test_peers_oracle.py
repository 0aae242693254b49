"""Each peer runs each kind of work that it is timed on."""

import pytest

from gradcam_jax.experiments.benchmark.peers import PEERS, TorchSide
from gradcam_jax.experiments.benchmark.work import WORK, Task, UnsupportedError

pytest.importorskip("torch", reason="times torch's libraries: install the extra `oracle`")
pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore::UserWarning"),  # captum's about its hooks
]


@pytest.mark.parametrize("library", PEERS)
def test_every_kind_of_work(library):
    side = TorchSide(library, threads=1)
    done = []
    for work in WORK:
        try:
            side.prepare(Task("alexnet", work, 2)).run()
        except UnsupportedError:
            continue
        done.append(work)
    assert done == (["forward"] if library == "torch" else [work for work in WORK if work in done])
    assert ("grad_cam" in done) == (library != "torch")


@pytest.mark.parametrize("library", PEERS)
def test_in_bfloat16_weights_and_images_are_rounded(library):
    side, work = TorchSide(library, threads=1), "forward" if library == "torch" else "grad_cam"
    task = Task("efficientnet_lite0", work, 1, "bfloat16")
    if library.startswith("pytorch-grad-cam"):
        with pytest.raises(UnsupportedError, match="no bfloat16"):
            side.prepare(task)
        return
    result = side.prepare(task).run()
    maps = result[0] if isinstance(result, list) else result
    assert str((maps[0] if isinstance(maps, list) else maps).dtype) == "torch.bfloat16"


def test_tensorfloat32_is_a_gpus():
    with pytest.raises(UnsupportedError, match="no tensorfloat32"):
        TorchSide("torch", threads=1).prepare(Task("alexnet", "forward", 1, "tensorfloat32"))


def test_guided_rules_that_know_no_relu6_are_not_timed():
    with pytest.raises(UnsupportedError, match="ReLU6"):
        TorchSide("captum", threads=1).prepare(Task("efficientnet_lite0", "guided_backprop", 1))

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


def test_guided_rules_that_know_no_relu6_are_not_timed():
    with pytest.raises(UnsupportedError, match="ReLU6"):
        TorchSide("captum", threads=1).prepare(Task("efficientnet_lite0", "guided_backprop", 1))

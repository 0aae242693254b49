"""Parts on a Ray cluster: who gets what, and what becomes of a part whose worker dies or raises.

That nothing is lost when workers, nodes and the command die is in tests/app/test_many_machines.py.
"""

import os
import signal

import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.pipeline import Progress
from gradcam_jax.pipeline.cluster import Share, most_workers, share_of_node, share_parts
from gradcam_jax.pipeline.parts import Part

PARTS = [Part(number, 4, 0) for number in range(8)]


def node(alive=True, **resources):
    return {"Alive": alive, "NodeID": "a", "Resources": {**resources}}


def test_a_worker_takes_an_accelerator_with_its_share_of_the_cores_or_a_node():
    nodes = [node(CPU=16, GPU=8), node(CPU=64, GPU=8), node(CPU=4), node(alive=False, CPU=1, GPU=1)]
    share = share_of_node(nodes)
    assert share == Share(2, num_gpus=1)
    assert share.options() == {"num_cpus": 2, "num_gpus": 1}
    assert most_workers(nodes, share) == 16
    tpus = [node(CPU=96, TPU=4)]
    assert share_of_node(tpus) == Share(24, resources={"TPU": 1})
    assert most_workers(tpus, share_of_node(tpus)) == 4
    cores = [node(CPU=2), node(CPU=8)]
    assert share_of_node(cores) == Share(2)
    assert most_workers(cores, share_of_node(cores)) == 5
    with pytest.raises(InputError, match="No machine of the Ray cluster has a core"):
        share_of_node([node(alive=False, CPU=1)])


ray = pytest.importorskip("ray", reason="many machines need the extra `ray`")

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


class Worker:
    """Computes nothing; dies with some parts, and raises at others."""

    def __init__(self, deadly, wrong):
        self.deadly, self.wrong = deadly, wrong

    def ready(self):
        return ray.get_runtime_context().get_node_id(), "what it computes"

    def progress(self):
        return Progress()

    def explain(self, part):
        if part in self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if part in self.wrong:
            raise InputError(f"part {part.number} cannot be written")
        return Progress(explained=part.images)


@pytest.fixture(scope="module")
def cluster():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=80 * 2**20)
        yield
        ray.shutdown()


def share(deadly=(), wrong=(), **options):
    def start():
        return ray.remote(Worker).options(num_cpus=1, max_concurrency=2, max_restarts=0).remote(deadly, wrong)

    return share_parts(PARTS, start, lambda: most_workers(ray.nodes(), Share(1)), **options)


def test_a_part_that_kills_three_workers_is_given_up_and_named(cluster):
    welcomed = []
    outcome = share(deadly=PARTS[1:2], welcome=welcomed.append)
    ((part, reason),) = outcome.aside
    assert part == PARTS[1]
    assert reason.startswith("3 workers died with it. The last: ")
    assert sorted(part for part, _, _ in outcome.done) == [PARTS[0], *PARTS[2:]]
    assert {progress.explained for _, progress, _ in outcome.done} == {4}
    assert 3 <= len(welcomed) <= 4


def test_no_part_is_begun_after_a_stop(cluster):
    asked = iter([False] * 7)
    outcome = share(stopped=lambda: next(asked, True))
    assert 0 < len(outcome.done) < len(PARTS)


def test_what_a_worker_raises_is_raised_as_it_is(cluster):
    with pytest.raises(InputError, match="part 3 cannot be written"):
        share(wrong=PARTS[3:4])


def test_a_worker_that_computes_something_else_is_refused(cluster):
    def refuse(about):
        raise InputError(f"not {about}")

    with pytest.raises(InputError, match="not what it computes"):
        share(welcome=refuse)

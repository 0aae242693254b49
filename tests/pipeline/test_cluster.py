"""Parts on the machines of a Ray cluster: two simulated nodes, workers and nodes that die, deadly photos."""

import os
import signal
import time
from pathlib import Path

import jax
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.pipeline import Progress, device_function, explain_items, open_run, read_items
from gradcam_jax.pipeline.cluster import Share, most_workers, share_of_node, share_parts
from gradcam_jax.pipeline.computation import run_settings
from gradcam_jax.pipeline.part_store import PartStore
from gradcam_jax.pipeline.parts import cut, mark_done, number_of_parts, read_part, remove_unnamed
from gradcam_jax.pipeline.store import SHARDS, record_settings
from tests.pipeline.small_task import run_small, small_task, write_photos
from tests.pipeline.test_parts import same_results


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
cluster_utils = pytest.importorskip("ray.cluster_utils")

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


class SmallWorker:
    """Explains parts with the small task; files in the run's folder say how it is to die, and when to wait."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def ready(self):
        jax.config.update("jax_platforms", "cpu")
        self.task = small_task(max_targets=1)
        self.function = device_function(self.task, jax.local_devices())
        return ray.get_runtime_context().get_node_id(), run_settings(self.task)

    def progress(self):
        return Progress()

    def explain(self, part):
        deadly = self.folder / f"deadly-{part.number}"
        if deadly.exists():
            os.kill(os.getpid(), signal.SIGKILL)
        while (self.folder / f"wait-{part.number}").exists():
            time.sleep(0.05)
        deaths = self.folder / "deaths"
        with PartStore(self.folder, part, shard_bytes=1) as store:
            progress = explain_items(
                self.task, self.function, read_part(self.folder, part), store, batch_size=8, workers=1
            )
            left = int(deaths.read_text() or 0) if deaths.exists() else 0
            if left:
                deaths.write_text(str(left - 1))
                os.kill(os.getpid(), signal.SIGKILL)  # all is computed, shards are written, the manifest is not
        mark_done(self.folder, part, progress.failed)
        return progress


@pytest.fixture(scope="module")
def cluster():
    os.environ["RAY_AUTH_MODE"] = "disabled"
    made = cluster_utils.Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80 * 2**20},
    )
    ray.init(address=made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


def share(folder, parts, **options):
    def start():
        actor = ray.remote(SmallWorker).options(num_cpus=1, max_concurrency=2, max_restarts=0)
        return actor.remote(str(folder))

    def welcome(settings):
        record_settings(folder, {**settings, "parts": number_of_parts(folder)}, "cpu")

    most = lambda: most_workers(ray.nodes(), Share(1))  # noqa: E731
    outcome = share_parts(parts, start, most, welcome=welcome, **options)
    remove_unnamed(folder, SHARDS)
    return outcome


def prepared(tmp_path, photos=40, parts=8, **options):
    source, folder = write_photos(tmp_path / "photos", photos, **options), tmp_path / "run"
    run_small(source, tmp_path / "whole")
    return folder, cut(read_items(str(source)), folder, parts)


def test_workers_that_die_lose_nothing_and_do_nothing_twice(cluster, tmp_path):
    folder, parts = prepared(tmp_path, broken=(3,))
    (folder / "deaths").write_text("10")
    outcome = share(folder, parts)
    assert (folder / "deaths").read_text() == "0"
    assert not outcome.aside
    assert sorted(part for part, _, _ in outcome.done) == parts
    same_results(open_run(tmp_path / "whole"), open_run(folder))
    named = {record.fields["shard"] for record in open_run(folder).values()} - {None}
    assert {path.stem for path in (folder / SHARDS).iterdir()} == named


def test_a_part_that_kills_three_workers_is_given_up_and_named(cluster, tmp_path):
    folder, parts = prepared(tmp_path, photos=16, parts=4)
    (folder / f"deadly-{parts[1].number}").write_text("")
    outcome = share(folder, parts)
    ((part, reason),) = outcome.aside
    assert part == parts[1]
    assert reason.startswith("3 workers died with it. The last: ")
    assert len(outcome.done) == len(parts) - 1
    assert len(open_run(folder)) == 16 - part.images


def test_a_node_joins_a_run_and_is_taken_away_from_its_part(cluster, tmp_path):
    folder, parts = prepared(tmp_path, photos=48, parts=12)
    waits = [folder / f"wait-{part.number}" for part in parts[2:]]
    for wait in waits:
        wait.write_text("")
    joined, removed = [], []

    def report(outcome, under_way):
        if outcome.done and not joined:
            joined.append(cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20))
        elif joined and not removed and joined[0].node_id in {node for node, _ in under_way}:
            removed.append(len(outcome.done))
            cluster.remove_node(joined[0])
            for wait in waits:
                wait.unlink()

    outcome = share(folder, parts, report=report)
    assert removed == [2]
    assert not outcome.aside
    assert joined[0].node_id not in {node for _, _, node in outcome.done}
    same_results(open_run(tmp_path / "whole"), open_run(folder))


def test_no_part_is_begun_after_a_stop(cluster, tmp_path):
    folder, parts = prepared(tmp_path, photos=16, parts=8)
    stops = []

    def report(outcome, _):
        stops.extend(outcome.done[:1])

    outcome = share(folder, parts, report=report, stopped=lambda: bool(stops))
    assert 0 < len(outcome.done) < 8
    share(folder, [part for part in parts if part not in [done for done, _, _ in outcome.done]])
    same_results(open_run(tmp_path / "whole"), open_run(folder))


def test_what_a_worker_raises_is_raised(cluster, tmp_path):
    folder, parts = prepared(tmp_path, photos=4, parts=1)
    record_settings(folder, {"parts": 7}, "cpu")
    began = time.monotonic()
    with pytest.raises(InputError, match="holds a run of other settings"):
        share(folder, parts)
    assert time.monotonic() - began < 60

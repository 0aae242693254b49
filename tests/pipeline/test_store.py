import errno
import io
import json
import os

import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.pipeline import open_run
from gradcam_jax.pipeline.manifest import append_lines, read_done
from gradcam_jax.pipeline.store import RunStore

SETTINGS = {"task": "classification", "model": "small"}


def arrays_of(number):
    return {"cam": np.full((1, 2, 2), number, np.float32), "scores": np.array([number], np.float32)}


def rows_of(number):
    return {name: array[np.newaxis] for name, array in arrays_of(number).items()}


def fields_of(number):
    return {"id": f"{number}.jpg", "path": f"photos/{number}.jpg", "prediction": "dog", "probability": 1.0}


def write(folder, numbers, *, failing=(), device="cpu", **options):
    with RunStore(folder, SETTINGS, device, **options) as store:
        for number in numbers:
            if number in failing:
                store.add([fields_of(number) | {"error": "truncated"}], {})
            else:
                store.add([fields_of(number)], rows_of(number))
        return store


def shards(folder):
    return sorted(path.name for path in (folder / "shards").iterdir())


def test_what_is_written_is_read_back(tmp_path):
    write(tmp_path, range(5), failing={3})
    run = open_run(tmp_path)
    assert list(run) == [f"{number}.jpg" for number in range(5)]
    assert run.settings["model"] == "small"
    for number in (0, 1, 2, 4):
        record = run[f"{number}.jpg"]
        np.testing.assert_array_equal(record.arrays["cam"], arrays_of(number)["cam"])
        assert record.fields["status"] == "ok"
    failed = run["3.jpg"]
    assert (failed.fields["status"], failed.fields["error"], dict(failed.arrays)) == ("failed", "truncated", {})
    with pytest.raises(KeyError, match=r"no image '9.jpg' among the 5"):
        run["9.jpg"]


def test_every_line_has_every_field(tmp_path):
    write(tmp_path, range(2), failing={1})
    expected = {"id", "path", "status", "error", "shard", "row", "request", "prediction", "probability", "targets"}
    lines = (tmp_path / "manifest.jsonl").read_text().splitlines()
    assert [set(json.loads(line)) for line in lines] == [expected, expected]


def test_shards_are_cut_by_size_and_age(tmp_path):
    write(tmp_path / "size", range(6), shard_bytes=3 * sum(array.nbytes for array in arrays_of(0).values()))
    assert shards(tmp_path / "size") == ["00000.safetensors", "00001.safetensors"]
    write(tmp_path / "age", range(3), shard_seconds=0.0)
    assert len(shards(tmp_path / "age")) == 3


def test_a_second_run_goes_on(tmp_path):
    write(tmp_path, range(3))
    store = write(tmp_path, (3, 4))
    assert all(f"{number}.jpg" in store.done for number in range(3))
    assert "3.jpg" not in store.done
    assert shards(tmp_path) == ["00000.safetensors", "00001.safetensors"]
    assert len(open_run(tmp_path)) == 5


def test_failures_can_be_tried_again(tmp_path):
    write(tmp_path, range(3), failing={1})
    assert "1.jpg" in write(tmp_path, ()).done
    assert "1.jpg" not in write(tmp_path, (1,), retry_failed=True).done
    assert open_run(tmp_path)["1.jpg"].fields["status"] == "ok"
    assert len(open_run(tmp_path)) == 3


def test_other_settings_are_refused(tmp_path):
    write(tmp_path, range(2))
    with pytest.raises(InputError, match=r"other settings \(model: 'small', now 'large'\)"):
        RunStore(tmp_path, SETTINGS | {"model": "large"}, "cpu").__enter__()
    with pytest.raises(InputError, match=r"processes: 1, now 2"):
        RunStore(tmp_path, SETTINGS, "cpu", process=0, processes=2).__enter__()


def test_a_run_resumed_on_another_kind_of_device_goes_on_and_names_both(tmp_path):
    write(tmp_path, range(2))
    write(tmp_path, (2,), device="NVIDIA H200")
    write(tmp_path, (3,))
    run = open_run(tmp_path)
    assert run.settings["devices"] == ["cpu", "NVIDIA H200"]
    assert len(run) == 4
    with pytest.raises(InputError, match=r"other settings \(model: 'small', now 'large'\)"):
        RunStore(tmp_path, SETTINGS | {"model": "large"}, "TPU v5e").__enter__()
    assert open_run(tmp_path).settings == run.settings


def test_two_runs_on_one_folder_refuse_each_other(tmp_path):
    with RunStore(tmp_path, SETTINGS, "cpu"), pytest.raises(InputError, match="Another run is writing"):
        RunStore(tmp_path, SETTINGS, "cpu").__enter__()
    write(tmp_path, range(1))  # the lock is gone with its holder


def test_processes_write_beside_each_other(tmp_path):
    with RunStore(tmp_path, SETTINGS, "cpu", process=1, processes=2) as second:
        second.add([fields_of(1)], rows_of(1))
        write(tmp_path, (0,), process=0, processes=2)
    assert shards(tmp_path) == ["0of2-00000.safetensors", "1of2-00000.safetensors"]
    assert set(open_run(tmp_path)) == {"0.jpg", "1.jpg"}
    write(tmp_path, (2,), process=0, processes=2)  # which removes nothing of the other's
    assert len(open_run(tmp_path)) == 3


def test_a_crash_at_any_byte_of_the_manifest_loses_no_image_and_repeats_none(tmp_path):
    write(tmp_path / "whole", range(4), failing={0})
    write(tmp_path / "whole", range(4, 8), failing={6})
    manifest = (tmp_path / "whole" / "manifest.jsonl").read_bytes()
    files = {path.name: path.read_bytes() for path in (tmp_path / "whole" / "shards").iterdir()}
    ends = [index + 1 for index, byte in enumerate(manifest) if byte == ord("\n")]
    cuts = {0, *ends, *(end - 1 for end in ends), *(end + 7 for end in ends[:-1])}
    for cut in sorted(cuts):
        folder = tmp_path / f"cut{cut}"
        (folder / "shards").mkdir(parents=True)
        (folder / "run.json").write_bytes((tmp_path / "whole" / "run.json").read_bytes())
        (folder / "manifest.jsonl").write_bytes(manifest[:cut])
        for name, content in files.items():
            # The shards are written before the lines that name them; the second may have been cut short.
            (folder / "shards" / name).write_bytes(content)
        (folder / "shards" / "00002.part").write_bytes(b"half")
        done = write(folder, ()).done
        rest = [number for number in range(8) if f"{number}.jpg" not in done]
        write(folder, rest, failing={0, 6})
        lines = [json.loads(line)["id"] for line in (folder / "manifest.jsonl").read_text().splitlines()]
        assert sorted(lines) == [f"{number}.jpg" for number in range(8)]
        run = open_run(folder)
        for number in set(range(8)) - {0, 6}:
            assert run[f"{number}.jpg"].arrays["scores"] == number
        named = {line["shard"] for line in map(json.loads, (folder / "manifest.jsonl").read_text().splitlines())}
        assert {f"{name}.safetensors" for name in named if name} == set(shards(folder))


def test_a_shard_that_vanished_is_an_error(tmp_path):
    write(tmp_path, range(2))
    write(tmp_path, range(2, 4))
    (tmp_path / "shards" / "00000.safetensors").unlink()
    with pytest.raises(InputError, match="names the shard '00000', which is not there"):
        write(tmp_path, ())


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


class FullFile(io.FileIO):
    """A file that takes some bytes and then no more."""

    def write(self, content):
        super().write(bytes(content)[:4])
        full_disk()


@pytest.mark.parametrize("where", ["shard", "sync of the shard", "manifest"])
def test_a_full_disk_stops_with_a_message_and_leaves_nothing_half_written(tmp_path, monkeypatch, where):
    write(tmp_path, range(2))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    if where == "shard":
        monkeypatch.setattr("gradcam_jax.formats.whole_file.open", FullFile, raising=False)
    else:
        # What is synced: the shard, its folder, the manifest.
        fine = [] if where == "sync of the shard" else [lambda _: None] * 2
        answers = iter([*fine, full_disk])
        monkeypatch.setattr(os, "fsync", lambda file: next(answers)(file))
    with pytest.raises(InputError, match="the disk is full"):
        write(tmp_path, range(2, 4))
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    write(tmp_path, range(2, 4))
    assert len(open_run(tmp_path)) == 4


def break_after_one(folder):
    with RunStore(folder, SETTINGS, "cpu") as store:
        store.add([fields_of(0)], rows_of(0))
        raise InputError("the source broke")


def test_what_waits_is_written_when_something_else_fails(tmp_path):
    with pytest.raises(InputError, match="the source"):
        break_after_one(tmp_path)
    assert list(open_run(tmp_path)) == ["0.jpg"]


def test_names_that_are_no_utf8_come_back(tmp_path):
    name = "caf\udce9.jpg"
    with RunStore(tmp_path, SETTINGS, "cpu") as store:
        store.add([{"id": name, "path": name}], rows_of(0))
    assert open_run(tmp_path)[name].fields["path"] == name
    assert name in write(tmp_path, ()).done


def test_done_is_what_the_manifests_name(tmp_path):
    path = tmp_path / "manifest.jsonl"
    append_lines(path, [{"id": f"{number}", "status": "ok"} for number in range(3000)])
    append_lines(path, [{"id": "bad", "status": "failed"}])
    done = read_done([path])
    assert all(f"{number}" in done for number in range(3000))
    assert "bad" in done
    assert "3000" not in done
    assert done.failed == 1


def test_no_run_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"Expected a run's folder, with run\.json"):
        open_run(tmp_path)

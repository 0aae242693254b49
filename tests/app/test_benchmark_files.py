import csv

from gradcam_jax.experiments.benchmark.run_files import Options, run
from gradcam_jax.zoo import classifiers as zoo
from gradcam_jax.zoo.checkpoint import Card, write_checkpoint
from tests.comparison import kaiming_variables
from tests.pipeline.small_job import ENTRY, write_photos


def test_the_table_says_what_was_timed_on_what(tmp_path, monkeypatch):
    monkeypatch.setenv(zoo.CHECKPOINTS_VARIABLE, str(tmp_path))
    monkeypatch.setitem(zoo.ZOO, "small", ENTRY)
    variables = kaiming_variables(zoo.expected_variables(ENTRY))
    write_checkpoint(tmp_path / "small.safetensors", variables, Card("small", "efficientnet_lite", "none", 0))
    photos, path, said = write_photos(tmp_path / "photos", 6), tmp_path / "tables" / "files.csv", []
    run(Options(str(photos), "small", batch_size=4, workers=2, rounds=2, out_path=str(path)), said.append)
    text = path.read_text()
    head = [line for line in text.splitlines() if line.startswith("#")]
    assert {line.partition(":")[0] for line in head} >= {"# device", "# processor", "# versions", "# command"}
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    assert [row["what"] for row in rows] == ["decoding"] * 5 + ["function", "run"]
    assert {row["pool"] for row in rows[:5]} == {"threads", "processes"}
    assert [row["scaled"] for row in rows[:5]] == ["False"] * 4 + ["True"]
    assert all(float(row["images_per_second"]) > 0 for row in rows)
    assert "run / function" in said[-1]

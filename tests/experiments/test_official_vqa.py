"""Official files from the command's options to the checkpoint, on made photos and a stand-in for the CNN."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from gradcam_jax import zoo
from gradcam_jax.errors import InputError
from gradcam_jax.experiments.evaluators import program
from gradcam_jax.experiments.reporting import silent
from gradcam_jax.experiments.training.configs import find_configuration, vqa_official
from gradcam_jax.experiments.training.program import Options
from gradcam_jax.experiments.training.program import run as run_training
from gradcam_jax.images.preprocessing import ORIGINAL
from gradcam_jax.models.vgg import VGG
from gradcam_jax.models.vqa import VQA
from gradcam_jax.zoo import Card, Entry, load, write_checkpoint
from tests.experiments.data.made_vqa import COLOURS, make_official_vqa

SIZE = 16
PREPROCESSING = ORIGINAL._replace(size=SIZE)


def _cnn(classes=1000) -> VGG:
    return VGG((1, 1), (4, 6), hidden=12, classes=classes, input_size=SIZE)


def _vqa(words: int, answers: int, **fields) -> VQA:
    sizes = {"embedding": 8, "hidden": 16, "common": 24}
    return VQA(cnn=_cnn(None), words=words, answers=answers, **sizes | fields)


class _PowerCutError(Exception):
    pass


@pytest.fixture(autouse=True)
def small(tmp_path_factory, monkeypatch):
    """A VQA model ``small`` on a frozen classifier ``tiny``."""
    folder = tmp_path_factory.mktemp("checkpoints")
    tiny = Entry("tiny", "classification", _cnn, "relu2_1", PREPROCESSING, SIZE)
    small = Entry("small", "vqa", _vqa, "cnn/relu2_1", PREPROCESSING, SIZE, cnn="tiny")
    monkeypatch.setenv("GRADCAM_JAX_CHECKPOINTS", str(folder))
    for models, entry in ((zoo.MODELS, tiny), (zoo.MODELS, small), (vqa_official.MODELS, small)):
        monkeypatch.setitem(models, entry.name, entry)
    variables = zoo.random_variables(_cnn(), *zoo.example_inputs(tiny))
    write_checkpoint(folder / "tiny.safetensors", variables, Card("tiny", "original", "none", 0))
    with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer count
        yield


def run(made, folder, say=silent, progress=silent, *, preset="published", model="small", **fields):
    """Trains on made files, 30 questions a step."""
    configuration = dataclasses.replace(find_configuration("official_vqa", preset), batch_size=30, model=model)
    named = {name: [path] for name, path in made.items()}
    defaults = {"steps": 20, "every": 5, "work": str(folder), "checkpoint": str(folder / "v.st")}
    return run_training(configuration, Options(**named | defaults | fields), say, progress)


def test_training_learns_and_the_checkpoint_holds_cnn_words_and_answers(tmp_path):
    made, lines = make_official_vqa(tmp_path / "data"), []
    validation = make_official_vqa(tmp_path / "data", "val2014", photos=6)
    val = {f"val_{name}": [path] for name, path in validation.items()}
    path = run(made, tmp_path / "run", lines.append, steps=40, preset="modern", every=20, **val)
    assert lines[0].startswith("12 photos; 60 of 60 questions have one of the 5 most frequent answers; ")
    history = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert history[-1]["loss"] < history[0]["loss"]
    assert {"official", "vqa_accuracy"} < set(history[-1])
    model = load(path, task="vqa")
    assert "params/cnn/conv1_1/kernel" in zoo.read_checkpoint(path)[0]
    assert set(model.labels.entries) == {"yes", "no", *COLOURS}
    assert model.words.entries[-1] == "UNK"
    notes = json.loads(model.card.notes)
    assert (notes["photos"], notes["kept_questions"], notes["steps"]) == (12, 60, 40)
    assert notes["validation"]["official"] == pytest.approx(max(h["official"] for h in history), abs=1e-4)


def test_an_interrupted_run_ends_in_the_same_weights(tmp_path):
    made = make_official_vqa(tmp_path / "data")
    whole = run(made, tmp_path / "whole")

    def power_cut(name: str, done: int, _total: int) -> None:
        if name == "training" and done == 13:
            raise _PowerCutError

    with pytest.raises(_PowerCutError):
        run(made, tmp_path / "cut", progress=power_cut)
    assert not (tmp_path / "cut" / "v.st").exists()
    resumed = run(made, tmp_path / "cut")
    first, second = (load(path, task="vqa").variables for path in (whole, resumed))
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_another_seed_in_the_same_folder_is_refused(tmp_path):
    made = make_official_vqa(tmp_path / "data")
    run(made, tmp_path / "run", steps=5)
    with pytest.raises(InputError, match=r"other settings: seed \(123, now 4\)"):
        run(made, tmp_path / "run", steps=5, seed=4)


def test_the_answers_file_is_the_official_scripts_and_scores_are_written(tmp_path):
    made, lines = make_official_vqa(tmp_path / "data"), []
    path = run(made, tmp_path / "run")
    files = {name: [made[name]] for name in ("questions", "images")}
    options = program.Options(
        task="vqa",
        **files,
        annotations=[made["annotations"]],
        model=str(path),
        work=str(tmp_path / "run"),
        out_path=str(tmp_path / "out"),
    )
    record = json.loads(program.run(options, lines.append).read_text())
    results = json.loads((tmp_path / "out" / "vqa_results.json").read_text())
    asked = json.loads((tmp_path / "data" / "train2014_q.json").read_text())["questions"]
    assert [result["question_id"] for result in results] == [question["question_id"] for question in asked]
    assert {result["answer"] for result in results} <= {"yes", "no", *COLOURS}
    assert set(record["official"]) == {"all", "yes/no", "other"}
    assert set(record["question_types"]) == {"what color", "is it"}
    assert len(list((tmp_path / "run").glob("features_*.npy"))) == 1  # those of the training run


def test_test_files_without_answers_give_answers_and_no_scores(tmp_path):
    made = make_official_vqa(tmp_path / "data")
    path = run(made, tmp_path / "run", steps=5)
    test = make_official_vqa(tmp_path / "data", "test2015", photos=2)
    options = program.Options(
        task="vqa",
        questions=[test["questions"]],
        images=[test["images"]],
        model=str(path),
        work=str(tmp_path / "run"),
        out_path=str(tmp_path / "out"),
    )
    assert program.run(options).name == "vqa_results.json"
    assert len(json.loads((tmp_path / "out" / "vqa_results.json").read_text())) == 10
    assert not (tmp_path / "out" / "evaluation.json").exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"preset": "publishd"}, "no preset 'publishd'.*Nearest: published"),
        ({"model": "vqa_lite"}, "no model 'vqa_lite'.*Nearest: vqa_lite0"),
        ({"annotations": []}, "name the files of annotations"),
        ({"val_questions": ["q.json"]}, "validation questions with answers"),
    ],
)
def test_what_cannot_be_trained_on_is_an_error(tmp_path, fields, message):
    made = make_official_vqa(tmp_path / "data", photos=3)
    with pytest.raises(InputError, match=message):
        run(made, tmp_path / "run", **fields)

"""Many images from the command line, for each task: shards, manifest, pictures, exit codes."""

import functools
import json
import os
import signal
import threading

import jax
import numpy as np
import pytest

from gradcam_jax.app import many_photos
from gradcam_jax.app.many_photos import explain_many
from gradcam_jax.app.options import Options, make_task
from gradcam_jax.app.start import Place, join_processes, use_compilation_cache
from gradcam_jax.attribution.maps import all_negative
from gradcam_jax.errors import InputError
from gradcam_jax.pipeline import open_run
from gradcam_jax.tasks.task import explain_photos
from gradcam_jax.text.ilsvrc import imagenet_classes
from tests.app.small_models import ANSWERS, TASKS, add_small_models
from tests.pipeline.small_task import SIZE, write_photos


@pytest.fixture(autouse=True)
def small_models(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    add_small_models(folder, monkeypatch)


def explain(tmp_path, source=None, *, task="classification", **options):
    lines = []
    source = source or write_photos(tmp_path / "photos", 6)
    settings = {"model": f"small_{task}", "out_path": str(tmp_path / "run"), "batch_size": 4, "workers": 2}
    code = explain_many(Options(task=task, images=str(source), **settings | options), lines.append)
    return code, lines, open_run(tmp_path / "run")


def write_list(tmp_path, *rows):
    write_photos(tmp_path / "photos", 2)
    path = tmp_path / "list.jsonl"
    path.write_text(
        "".join(json.dumps({"path": f"photos/000{n % 2}.png", **row}) + "\n" for n, row in enumerate(rows))
    )
    return path


def test_a_folder_of_photos(tmp_path):
    code, lines, results = explain(tmp_path, top_k=2)
    assert code == many_photos.OK
    assert sorted(results) == [f"000{number}.png" for number in range(6)]
    for record in results.values():
        assert {name: array.shape for name, array in record.arrays.items()} == {
            "cam": (2, 16, 16), "targets": (2,), "scores": (2,), "probabilities": (2,), "ranks": (2,),
            "top": (5,), "top_probabilities": (5,), "prediction": (), "probability": (),
        }  # fmt: skip
        names = [class_.name for class_ in imagenet_classes()]
        for place, target in enumerate(record.fields["targets"]):
            index = int(record.arrays["targets"][place])
            assert target == {
                "name": names[index],
                "index": index,
                "score": record.arrays["scores"][place],
                "probability": record.arrays["probabilities"][place],
                "rank": place + 1,
                "all_negative": bool(all_negative(record.arrays["cam"][place])),
                "place": place,
            }
        assert record.fields["prediction"] == record.fields["targets"][0]["name"]
        assert record.fields["probability"] == record.arrays["probability"]
    assert any("6 explained, 0 failed" in line for line in lines)
    assert any("busy: decode" in line for line in lines)
    assert (
        results.settings
        | {"model": "small_classification", "input_size": 32, "dtype": "float32", "devices": ["cpu"]}
        == results.settings
    )


def test_pictures_are_drawn_on_request(tmp_path):
    explain(tmp_path, methods="guided_backprop,guided_grad_cam", save="all")
    drawn = sorted(path.relative_to(tmp_path / "run").parts[0] for path in (tmp_path / "run").rglob("*.png"))
    assert drawn == ["overlays"] * 6 + ["panels"] * 6


def test_a_broken_file_changes_the_exit_code_and_nothing_else(tmp_path):
    photos = write_photos(tmp_path / "photos", 6, broken={3})
    code, _, results = explain(tmp_path, photos)
    assert code == many_photos.SOME_FAILED
    assert [name for name in results if results[name].fields["status"] == "failed"] == ["0003.png"]
    assert explain(tmp_path, photos)[0] == many_photos.SOME_FAILED
    write_photos(photos, 6)
    assert explain(tmp_path, photos)[0] == many_photos.SOME_FAILED  # what failed counts as done
    assert explain(tmp_path, photos, retry_failed=True)[0] == many_photos.OK


def test_questions_of_each_line(tmp_path):
    source = write_list(
        tmp_path,
        {"question": "What animal?", "answer": "dog"},
        {"question": "Is there a dog?"},
        {"question": "  "},
        {"answer": "unicorn"},
    )
    code, _, results = explain(tmp_path, source, task="vqa", question="What animal?")
    fields = [record.fields for record in results.values()]
    assert code == many_photos.SOME_FAILED
    assert [line["status"] for line in fields] == ["ok", "ok", "failed", "failed"]
    assert "unicorn" in fields[3]["error"]
    assert results[fields[0]["id"]].arrays["targets"].tolist() == [ANSWERS.index("dog")]
    assert ANSWERS[int(results[fields[1]["id"]].arrays["targets"][0])] == fields[1]["prediction"]
    assert [target["name"] for target in fields[0]["targets"]] == ["dog"]
    assert fields[0]["request"] == {"question": "What animal?", "answer": "dog"}
    assert fields[0]["tokens"] == ["what", "animal", "?"]
    assert fields[1]["request"] == {"question": "Is there a dog?", "answer": "-1"}


def test_captions_given_and_generated(tmp_path):
    source = write_list(tmp_path, {"caption": "A dog"}, {}, {"caption": "?!"})
    code, _, results = explain(tmp_path, source, task="captioning", beam_size=2)
    given, generated, empty = results.values()
    assert code == many_photos.SOME_FAILED
    assert "letter or digit" in empty.fields["error"]
    assert [target["name"] for target in given.fields["targets"]] == ["a dog"]
    assert [word["name"] for word in given.fields["words"]] == ["a", "dog"]
    assert given.fields["prediction"] == given.fields["predictions"][0]["name"] != "a dog"
    assert generated.fields["prediction"] == generated.fields["targets"][0]["name"]
    assert [record.fields["request"] for record in results.values()] == [
        {"caption": "A dog"},
        {"caption": ""},
        {"caption": "?!"},
    ]
    assert given.arrays["length"] == 2
    assert generated.arrays["length"] > 0
    for record in (given, generated):
        count = int(record.arrays["length"])
        cam, words = record.arrays["cam"], record.arrays["word_cams"]
        assert (cam.shape, words.shape) == ((1, 16, 16), (16, 16, 16))
        np.testing.assert_allclose(words.sum(axis=0), cam[0], atol=1e-5 * np.abs(words).max() * count)
        assert not words[count:].any()
        assert record.arrays["word_scores"].sum() == pytest.approx(record.fields["targets"][0]["score"], rel=1e-5)


@pytest.mark.parametrize("methods", ["grad_cam", "guided_grad_cam"])
@pytest.mark.parametrize("task", TASKS)
def test_no_weight_is_a_constant_of_the_compiled_program(task, methods, tmp_path, monkeypatch):
    add_small_models(tmp_path, monkeypatch, input_size=SIZE)  # without the grid of pooling for any size
    options = Options(task=task, model=f"small_{task}", images="photos", methods=methods)
    made = make_task(options)
    arrays = {name: array[np.newaxis] for name, array in made.encode({}).items()}
    images = np.zeros((1, SIZE, SIZE, 3), np.float32)
    function = functools.partial(explain_photos, plan=made.plan, methods=options.computation.methods)
    program = jax.make_jaxpr(function)(made.forward, images, arrays)
    weights = [np.asarray(leaf) for leaf in jax.tree.leaves(made.loaded.variables)]
    constants = [np.asarray(constant) for constant in program.consts]
    assert not {leaf.tobytes() for leaf in weights} & {constant.tobytes() for constant in constants}
    if methods == "grad_cam":  # Guided Grad-CAM has the weights of the resize, which depend on no model.
        assert sum(constant.nbytes for constant in constants) < min(
            leaf.nbytes for leaf in weights if leaf.ndim > 1
        )


def test_a_signal_ends_the_run_cleanly_and_the_next_goes_on(tmp_path):
    photos = write_photos(tmp_path / "photos", 60)
    before = signal.getsignal(signal.SIGINT)
    lines_written = threading.Event()
    show = many_photos._show

    def interrupt(bar, progress):
        show(bar, progress)
        if not lines_written.is_set():
            lines_written.set()
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(many_photos, "_show", interrupt)
        code, lines, results = explain(tmp_path, photos)
    assert code == many_photos.INTERRUPTED
    assert signal.getsignal(signal.SIGINT) is before
    assert 4 <= len(results) < 60
    assert "the same command goes on" in lines[-1]
    assert explain(tmp_path, photos)[0] == many_photos.OK
    assert len(open_run(tmp_path / "run")) == 60


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "nowhere"}, "Expected a folder, a glob, a list"),
        ({"model": "small_classificatio"}, "Nearest: small_classification"),
        ({"label": "bokser"}, "boxer"),
        ({"label": "boxer, tabby", "max_targets": 1}, "--max_targets 2"),
        ({"save": "everything"}, "Expected --save maps, overlays, panels or all"),
        ({"dtype": "float16"}, "Expected --dtype float32, tensorfloat32 or bfloat16"),
        ({"dtype": "tensorfloat32"}, "a device that has tensorfloat32"),
        ({"methods": "hirescam"}, "There is no method 'hirescam'"),
        ({"process_id": 2, "num_processes": 2}, "Expected --process_id from 0 to 1"),
        ({"top_k": 0}, "--top_k from 1 to 1000, got 0"),
        ({"top_k": 2, "label": "boxer"}, "--top_k 2 needs -1, the predictions, among --label, got 'boxer'"),
        ({"layer_name": "relu9"}, "relu2_1"),
        ({"workers": -1}, "Expected --workers of 0 or more, got -1"),
        ({"batch_size": -4}, "Expected --batch_size of 0 or more, got -4"),
        ({"max_targets": -1}, "Expected --max_targets of 0 or more, got -1"),
    ],
)
def test_what_cannot_be_had_is_said_before_anything_is_explained(tmp_path, options, message):
    with pytest.raises(InputError) as error:
        explain(tmp_path, **options)
    assert message in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_line_that_asks_for_more_targets_than_the_flag_fails(tmp_path):
    source = write_list(tmp_path, {"label": "boxer, tabby"}, {"label": "boxer"}, {"label": "-1"})
    code, _, results = explain(tmp_path, source, max_targets=1)
    assert code == many_photos.SOME_FAILED
    more, one, predicted = results.values()
    assert (
        "at most 1 labels a photo, got 2 ('boxer, tabby'). Ask for more:  --max_targets 2" in more.fields["error"]
    )
    assert one.arrays["targets"].tolist() == [242]
    assert predicted.arrays["targets"].tolist() == [predicted.arrays["prediction"]]
    code, _, results = explain(tmp_path, source, max_targets=2, out_path=str(tmp_path / "more"))
    assert code == many_photos.OK
    assert [record.arrays["targets"].tolist() for record in open_run(tmp_path / "more").values()][:2] == [
        [242, 281],
        [242, -2],
    ]


def test_an_output_folder_that_cannot_be_made_is_an_error(tmp_path):
    with pytest.raises(InputError, match="Cannot write to '/proc/here'"):
        explain(tmp_path, out_path="/proc/here")


def test_an_empty_folder_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="There is no image in"):
        explain(tmp_path, tmp_path / "empty")


def test_the_batch_size_is_chosen(tmp_path):
    assert explain(tmp_path, batch_size=0)[0] == many_photos.OK


def test_a_process_has_a_place_without_a_coordinator():
    assert join_processes(4, 2, "") == Place(2, 4)


def test_the_compilation_cache_is_the_users(tmp_path, monkeypatch):
    updates = {}
    monkeypatch.setattr("gradcam_jax.app.start.jax.config.update", updates.__setitem__)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert use_compilation_cache() == tmp_path / "gradcam_jax" / "compiled"
    assert updates["jax_compilation_cache_dir"] == str(tmp_path / "gradcam_jax" / "compiled")
    assert use_compilation_cache("elsewhere").name == "elsewhere"
